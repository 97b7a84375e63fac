import type { EasDecodeError } from "../../../errors.js";
import type { Bytes } from "../../../formats/request.js";
import type { DataFrame } from "../../frame.js";

/** What a source tells its watcher. Nothing comes after the end. */
export interface SourceEvents {
  /** A serialized frame, a view that nobody else writes to. */
  onFrame(frame: Bytes): void;
  /** A frame that was read already. */
  onItem(frame: DataFrame): void;
  /** An item that cannot be handed out; `index` where it is known. The connection goes on. */
  onUnreadable(error: EasDecodeError, index: bigint | undefined): void;
  /** The connection is over, whoever ended it: `graceful` when the server did so in good order. */
  onEnd(end: SourceEnd): void;
}

/** How a connection ended. */
export interface SourceEnd {
  readonly graceful: boolean;
  /** Set when this side ended it with `close`: no failure, and no sign of the queue's end. */
  readonly asked?: boolean | undefined;
  /** Set when the service has confirmed that the queue has ended. */
  readonly isQueueEnd?: boolean | undefined;
  /** Set when a message was refused at its head, so that its index is not known. */
  readonly tooLarge?: boolean | undefined;
  /** Why, for people and for the watcher's status. */
  readonly cause: Error;
  /** The close code and reason of a WebSocket. */
  readonly closeCode?: number | undefined;
  readonly reason?: string | undefined;
}

/** A connection over which frames come. */
export interface FrameSource {
  /** Reads no more until `resume`; undefined where the runtime cannot hold the server back. */
  readonly pause: (() => void) | undefined;
  readonly resume: (() => void) | undefined;
  /** Whether another connection would serve better: the watcher closes this one when it has nothing in hand. */
  readonly isReplaceable?: boolean | undefined;
  /** Ends the connection in good order, and by force when that takes too long. Resolves when it is over. */
  close(): Promise<void>;
}

/** Reads the index of a frame of which only the head may be known. Undefined if it has none, or is not a frame. */
export type IndexReader = (head: Bytes) => bigint | undefined;

/** Opens a connection; rejects with the error of a call, or with the signal's reason. */
export type OpenSource = (events: SourceEvents, signal: AbortSignal) => Promise<FrameSource>;
