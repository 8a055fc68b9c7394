// Paytm's Node.js library for paytm.py: signs, verifies, encrypts and decrypts what it is given.
//
// In: {"key":…, "sign":[text or fields], "verify":[[text or fields, signature]], "encrypt":[…], "decrypt":[…]}
// Out: the same lists, carried out.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

// NODE_PATH is searched by require alone.
const checksum = createRequire(import.meta.url)("paytmchecksum");

const given = JSON.parse(readFileSync(0, "utf8"));
const each = (list, act) => Promise.all((list ?? []).map(act));
const done = {
  sign: await each(given.sign, (payload) => checksum.generateSignature(payload, given.key)),
  verify: await each(given.verify, ([payload, signature]) =>
    checksum.verifySignature(payload, given.key, signature),
  ),
  encrypt: await each(given.encrypt, (plain) => checksum.encrypt(plain, given.key)),
  decrypt: await each(given.decrypt, (text) => checksum.decrypt(text, given.key)),
};
process.stdout.write(JSON.stringify(done));
