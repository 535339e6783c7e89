/** For the tests: the exports of `index.mjs` besides the handler. */
export const LEAD: { readonly email: string; readonly campaign_id: string };
export function post(url: string, secrets: string, now?: Date): Promise<void>;
