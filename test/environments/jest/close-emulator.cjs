module.exports = () => globalThis.closeEmulator();
