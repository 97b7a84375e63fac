// No page can listen: bundlers must refuse this one.
import { startEmulator } from "eas-prediction/emulator";

globalThis.answer = startEmulator();
