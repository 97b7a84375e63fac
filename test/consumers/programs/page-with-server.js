// Pages cannot run a server, so that bundlers must refuse this program.
import { startEmulator } from "eas-prediction/emulator";

globalThis.answer = startEmulator();
