// PayU's official Node SDK. It only speaks HTTPS to PayU's own hosts, so its one exchange, `https.request`,
// is led to the simulator; everything else is the SDK as it is.
import http from "node:http";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const https = require("node:https");
let input = "";
for await (const chunk of process.stdin) input += chunk;
const { place, key, salt, txnid, request, returned, refund } = JSON.parse(input);
const { hostname, port } = new URL(place);
https.request = (options, answered) => http.request({ ...options, hostname, port }, answered);

const PayU = require("payu-websdk");
const payu = new PayU({ key, salt }, "TEST");
const out = {
  hash: payu.hasher.generatePaymentHash({ ...request }),
  valid: payu.hasher.validateResponseHash({ ...returned }),
  forged: payu.hasher.validateResponseHash({ ...returned, amount: "999.00" }),
  form: payu.paymentInitiate({ ...request }),
  verified: await payu.verifyPayment(txnid),
};
const id = out.verified.transaction_details[txnid].mihpayid;
out.refunded = await payu.cancelRefundTransaction(id, refund, "50.00");
out.status = await payu.checkActionStatus(id);
process.stdout.write(JSON.stringify(out));
