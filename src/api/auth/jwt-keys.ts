import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { reasonOf } from '../../lib/text.ts';
import { EMPTY } from '../../wire/reader.ts';
import { AuthOptionsError, type JwtOptions, type SignMethod } from './token-options.ts';

export interface JwtKeys {
  readonly verify: KeyObject;
  /** Absent on a member that only verifies tokens. */
  readonly sign: KeyObject | undefined;
}

/** The elliptic curve that each method needs. */
const CURVES: Readonly<Partial<Record<SignMethod, string>>> = {
  ES256: 'prime256v1',
  ES384: 'secp384r1',
  ES512: 'secp521r1',
};

/**
 * Reads the keys of a signing method. A key must have the type that the method needs. So a public key can never be
 * used as the shared secret of an HS method.
 *
 * @throws AuthOptionsError that names the file
 */
export function readJwtKeys({ method, publicKeyFile, privateKeyFile }: JwtOptions): JwtKeys {
  const privateBytes = readKeyFile('priv-key', privateKeyFile);
  const publicBytes = readKeyFile('pub-key', publicKeyFile);
  if (method.startsWith('HS')) {
    if (privateBytes.length === 0) throw missingKey(method);
    const secret = createSecretKey(privateBytes);
    return { verify: secret, sign: secret };
  }
  const sign =
    privateBytes.length === 0
      ? undefined
      : checkKind(
          method,
          privateKeyFile,
          parse(privateKeyFile, () => createPrivateKey(privateBytes)),
        );
  const given =
    publicBytes.length === 0
      ? undefined
      : checkKind(
          method,
          publicKeyFile,
          parse(publicKeyFile, () => createPublicKey(publicBytes)),
        );
  if (sign === undefined) {
    if (given === undefined) throw missingKey(method);
    return { verify: given, sign: undefined };
  }
  const verify = createPublicKey(sign);
  if (given !== undefined && !given.equals(verify))
    throw new AuthOptionsError(
      `auth: public and private keys don't match: ${publicKeyFile} and ${privateKeyFile}`,
    );
  return { verify, sign };
}

function readKeyFile(option: string, path: string): Buffer {
  if (path === '') return EMPTY;
  try {
    return readFileSync(path);
  } catch (error) {
    const reason = reasonOf(error);
    throw new AuthOptionsError(`auth: invalid auth options: ${option}: ${reason}`);
  }
}

function parse(path: string, read: () => KeyObject): KeyObject {
  try {
    return read();
  } catch (error) {
    const reason = reasonOf(error);
    throw new AuthOptionsError(`auth: invalid key in ${path}: ${reason}`);
  }
}

function checkKind(method: SignMethod, path: string, key: KeyObject): KeyObject {
  const kind = key.asymmetricKeyType;
  const curve = key.asymmetricKeyDetails?.namedCurve;
  const fits = method.startsWith('ES')
    ? kind === 'ec' && curve === CURVES[method]
    : kind === (method === 'EdDSA' ? 'ed25519' : 'rsa');
  if (fits) return key;
  const found = kind === 'ec' ? `ec (${curve ?? ''})` : (kind ?? '');
  throw new AuthOptionsError(`auth: the key in ${path} is of type ${found}, which ${method} does not use`);
}

function missingKey(method: SignMethod): AuthOptionsError {
  return new AuthOptionsError(`auth: missing key data: ${method} needs a key file`);
}
