// Prints the headers with which a maker signs a request, as JSON: HubSpot's by HubSpot's own client library, the others
// with Node's crypto by the formula of the maker's documentation.
//
//     node sign.mjs MAKER SECRET URL BODY_FILE

import { Signature } from '@hubspot/api-client';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';

const [maker, secret, url, file] = process.argv.slice(2);
const body = readFileSync(file);
const now = Date.now();
const hmac = (algorithm, encoding, ...parts) =>
  parts.reduce((mac, part) => mac.update(part), createHmac(algorithm, secret)).digest(encoding);

const HEADERS = {
  hubspot: () => ({
    'X-HubSpot-Request-Timestamp': String(now),
    'X-HubSpot-Signature-v3': Signature.getSignature('POST', 'v3', {
      clientSecret: secret,
      requestBody: body.toString(),
      url,
      timestamp: now,
    }),
  }),
  typeform: () => ({ 'Typeform-Signature': `sha256=${hmac('sha256', 'base64', body)}` }),
  calendly: () => {
    const seconds = Math.floor(now / 1000);
    return { 'Calendly-Webhook-Signature': `t=${seconds},v1=${hmac('sha256', 'hex', `${seconds}.`, body)}` };
  },
  segment: () => ({ 'X-Signature': hmac('sha1', 'hex', body) }),
  webflow: () => ({
    'x-webflow-timestamp': String(now),
    'x-webflow-signature': hmac('sha256', 'hex', `${now}:`, body),
  }),
  meta: () => ({ 'X-Hub-Signature-256': `sha256=${hmac('sha256', 'hex', body)}` }),
};

console.log(JSON.stringify(HEADERS[maker]()));
