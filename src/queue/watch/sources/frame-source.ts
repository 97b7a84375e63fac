import type { EasDecodeError } from "../../../errors.js";
import type { Bytes } from "../../../formats/request.js";
import type { DataFrame } from "../../frame.js";

/** The events that a source reports. `onEnd` is the last event. */
export interface SourceEvents {
  /** Called with a serialized frame. The source does not modify the bytes later. */
  onFrame(frame: Bytes): void;
  /** Called with a decoded frame. */
  onItem(frame: DataFrame): void;
  /** Called for an item that cannot be delivered, with the item's index if it is known. The connection stays open. */
  onUnreadable(error: EasDecodeError, index: bigint | undefined): void;
  /** Called once when the connection has ended for any reason. */
  onEnd(end: SourceEnd): void;
}

/** The end of a connection. */
export interface SourceEnd {
  /** Whether the server closed the connection normally. */
  readonly graceful: boolean;
  /** Whether the watcher closed the connection, which is neither a failure nor the end of the queue. */
  readonly asked?: boolean | undefined;
  /** Whether the service has confirmed that the queue has ended. */
  readonly isQueueEnd?: boolean | undefined;
  /** Whether the runtime refused a message because of its size, so that its index is unknown. */
  readonly tooLarge?: boolean | undefined;
  /** The reason, for messages and the watcher's status. */
  readonly cause: Error;
  /** A WebSocket's close code. */
  readonly closeCode?: number | undefined;
  /** A WebSocket's close reason. */
  readonly reason?: string | undefined;
}

/** A connection that delivers frames. */
export interface FrameSource {
  /** Stops reading until `resume` is called. Undefined if the runtime does not support backpressure. */
  readonly pause: (() => void) | undefined;
  /** Continues reading. */
  readonly resume: (() => void) | undefined;
  /** Whether the watcher should replace this connection as soon as it holds no frames. */
  readonly isReplaceable?: boolean | undefined;
  /** Closes the connection, or terminates it if closing takes too long. Resolves when the connection has ended. */
  close(): Promise<void>;
}

/** Reads the index from the start of a frame. Returns undefined if there is no index or the bytes are not a frame. */
export type IndexReader = (head: Bytes) => bigint | undefined;

/** Opens a connection. Rejects with the call's error or with the signal's reason. */
export type OpenSource = (events: SourceEvents, signal: AbortSignal) => Promise<FrameSource>;
