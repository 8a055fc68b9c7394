// PhonePe's official Node SDK against the simulator. Its addresses are constants of one module.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const require = createRequire(import.meta.url);
const wanted = JSON.parse(readFileSync(0, "utf8"));
const { place, account, ids } = wanted;

const { BaseUrl } = require("pg-sdk-node/dist/common/constants/BaseUrl.js");
BaseUrl.SANDBOX.PG_HOST_URL = place;
BaseUrl.SANDBOX.OAUTH_HOST_URL = place;

const sdk = require("pg-sdk-node");
const login = [account.client_id, account.client_secret, account.client_version, sdk.Env.SANDBOX, false];
const custom = sdk.CustomCheckoutClient.getInstance(...login);
const standard = sdk.StandardCheckoutClient.getInstance(...login);

const intent = await custom.pay(
  sdk.CustomCheckoutPayRequest.UpiIntentPayRequestBuilder()
    .merchantOrderId(ids.intent)
    .amount(10050)
    .deviceOS("ANDROID")
    .targetApp("com.phonepe.app")
    .build(),
);
const page = await standard.pay(
  sdk.StandardCheckoutPayRequest.builder()
    .merchantOrderId(ids.page)
    .amount(10050)
    .redirectUrl(wanted.return_url)
    .build(),
);
await fetch(`${place}/sim/approve/${ids.intent}`, { method: "POST" });
const status = await custom.getOrderStatus(ids.intent, true);
const refund = await custom.refund(
  sdk.RefundRequest.builder()
    .merchantRefundId(ids.refund)
    .originalMerchantOrderId(ids.intent)
    .amount(4000)
    .build(),
);
const refunded = await custom.getRefundStatus(ids.refund);
const { webhook_username: name, webhook_password: password } = account;
const said = custom.validateCallback(name, password, wanted.authorization, wanted.body);
let forged = "accepted";
try {
  custom.validateCallback(name, password, "0".repeat(64), wanted.body);
} catch {
  forged = "refused";
}
// The SDK's timers would keep the process alive.
process.stdout.write(
  JSON.stringify({
    intent: intent.intentUrl,
    page: page.redirectUrl,
    status: [status.state, status.amount],
    refund: [refund.state, refunded.state],
    webhook: said.payload.state,
    forged,
  }),
  () => process.exit(0),
);
