const HEX_ID = /^[0-9a-fA-F]{1,16}$/;

/** @returns undefined for text that is not a member ID */
export function parseId(text: string | undefined): bigint | undefined {
  return text !== undefined && HEX_ID.test(text) ? BigInt(`0x${text}`) : undefined;
}
