// jest-environment-jsdom with the globals of Node that it lacks.
const { TestEnvironment } = require("jest-environment-jsdom");

module.exports = class extends TestEnvironment {
  async setup() {
    await super.setup();
    for (const [name, property] of Object.entries(Object.getOwnPropertyDescriptors(globalThis))) {
      if (!(name in this.global)) Object.defineProperty(this.global, name, property);
    }
  }
};
