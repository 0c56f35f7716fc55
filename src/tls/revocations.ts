import type { X509Certificate } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { runSteps, type Steps } from '../lib/steps.ts';
import { bareSerial, readRevocationList, SerialNumbers } from './revocation-list.ts';
import { fileReason, TlsFileError } from './tls-file-error.ts';
import { WatchedFiles } from './watched-files.ts';

type Certificate = Pick<X509Certificate, 'serialNumber'>;

/**
 * The serial numbers of a certificate revocation list, in DER or PEM. As in etcd, only the serial number counts. The
 * signature and the validity of the list are not checked, because the administrator writes the file.
 */
export class Revocations {
  readonly #file: string;
  readonly #watched: WatchedFiles;
  #serials = new SerialNumbers();
  /** A reading over several turns that is under way, with the reason if the list cannot be read. Never rejects. */
  #reading: Promise<string | undefined> | undefined;
  /** Number of readings begun. */
  #begun = 0;
  /** The last reading failed. */
  #isUnreadable = false;

  /** @throws TlsFileError */
  constructor(file: string) {
    this.#file = file;
    this.#watched = new WatchedFiles([file]);
    runSteps(this.#refresh());
  }

  /**
   * Reads a list that has changed over several turns, before a connection needs it. A list that could not be read
   * waits for the next connection. Never rejects.
   */
  async refresh(): Promise<void> {
    if (!this.#isUnreadable) await this.refusalSoon([]);
  }

  /**
   * Why one of the certificates is refused; undefined if none is revoked. If the list cannot be read, all
   * certificates are refused. A damaged file must not make a revoked certificate valid again. A list that has changed
   * is read at once: a long one holds the event loop.
   */
  refusal(certificates: readonly Certificate[]): string | undefined {
    if (!this.isCurrent) {
      try {
        runSteps(this.#refresh());
      } catch (error) {
        return this.#unreadable(error);
      }
    }
    return this.#revoked(certificates);
  }

  /** As `refusal`, but reads a list that has changed over several turns of the event loop. Never rejects. */
  async refusalSoon(certificates: readonly Certificate[]): Promise<string | undefined> {
    // It may have begun before the last change of the file. One that begins later sees that change.
    await this.#reading;
    if (this.#watched.haveChanged) this.#reading ??= this.#readInTurns();
    return (await this.#reading) ?? this.#revoked(certificates);
  }

  /** Whether `refusal` reads nothing. */
  get isCurrent(): boolean {
    return this.#reading === undefined && !this.#watched.haveChanged;
  }

  /** @returns why the list cannot be read */
  async #readInTurns(): Promise<string | undefined> {
    try {
      await nextTurn();
      const steps = this.#refresh();
      while (steps.next().done !== true) await nextTurn();
      return undefined;
    } catch (error) {
      return this.#unreadable(error);
    } finally {
      this.#reading = undefined;
    }
  }

  /** The list is read again for the next connection. Returns the reason. */
  #unreadable(error: unknown): string {
    this.#watched.forget();
    this.#isUnreadable = true;
    return fileReason(error);
  }

  #revoked(certificates: readonly Certificate[]): string | undefined {
    const revoked = certificates.find(({ serialNumber }) => this.#serials.has(bareSerial(serialNumber)));
    return revoked === undefined
      ? undefined
      : `certificate serial ${revoked.serialNumber.toLowerCase()} revoked`;
  }

  *#refresh(): Steps<void> {
    this.#begun += 1;
    const begun = this.#begun;
    const [bytes = Buffer.alloc(0)] = this.#watched.read();
    try {
      const serials = yield* readRevocationList(bytes);
      // Another reading that began later may have ended earlier.
      if (begun === this.#begun) this.#serials = serials;
      this.#isUnreadable = false;
    } catch (error) {
      throw new TlsFileError(this.#file, `not a certificate revocation list (${fileReason(error)})`);
    }
  }
}
