/**
 * The path as Go's request multiplexer sees it: escapes are decoded, and `.`, `..` and double slashes are removed.
 * Undefined for invalid escapes.
 */
export function resolvePath(path: string): { readonly plain: string; readonly clean: string } | undefined {
  if (/%(?![0-9a-fA-F]{2})/.test(path)) return undefined;
  const plain = path.includes('%') ? unescape(path) : path;
  return { plain, clean: cleanPath(plain) };
}

function unescape(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    // Bytes that are not valid text match no route.
    return path;
  }
}

function cleanPath(path: string): string {
  if (!path.includes('//') && !path.includes('/.')) return path;
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') kept.pop();
    else if (part !== '' && part !== '.') kept.push(part);
  }
  const isFolder = kept.length > 0 && path.endsWith('/');
  return `/${kept.join('/')}${isFolder ? '/' : ''}`;
}
