/** Shuts every way out of the page once it is loaded. */

/** Nothing may be fetched or sent any more, even from or to the page's own place. */
const RULE = "default-src 'none'; img-src blob:; media-src blob:; form-action 'none'; base-uri 'none'";

/**
 * Adds a second policy to the page's own; a browser enforces both and takes none back.
 *
 * @returns Whether the browser now refuses to fetch. What is tried is a data: address, which the
 *     rule covers as well, so that the test itself sends nothing.
 */
export async function seal() {
  const rule = document.createElement("meta");
  rule.httpEquiv = "Content-Security-Policy";
  rule.content = RULE;
  document.head.append(rule);
  try {
    await fetch("data:,");
    return false;
  } catch {
    return true;
  }
}
