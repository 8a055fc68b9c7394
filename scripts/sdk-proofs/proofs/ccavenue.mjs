// CCAvenue's Node.js client for ccavenue.py: encrypts and decrypts what it is given.
//
// In: {"working_key":…, "merchant_id":…, "encrypt":[…], "decrypt":[…], "orders":[{…}], "responses":[…]}
// Out: the same lists, carried out.

import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

// NODE_PATH is searched by require alone.
const { Configure } = createRequire(import.meta.url)("node-ccavenue");

const given = JSON.parse(readFileSync(0, "utf8"));
const client = new Configure({ merchant_id: given.merchant_id, working_key: given.working_key });
const done = {
  encrypt: (given.encrypt ?? []).map((plain) => client.encrypt(plain)),
  decrypt: (given.decrypt ?? []).map((text) => client.decrypt(text)),
  orders: (given.orders ?? []).map((order) => client.getEncryptedOrder(order)),
  responses: (given.responses ?? []).map((text) => client.redirectResponseToJson(text)),
};
process.stdout.write(JSON.stringify(done));
