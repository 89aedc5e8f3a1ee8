// Anthropic's Node SDK, on /v1/messages.
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

import * as cases from "./cases.mjs";

const Forecast = z.object({ city: z.enum(["Paris", "Rome"]), days: z.number().int() });
const ASKED = {
  model: cases.MODEL,
  messages: [{ role: "user", content: cases.QUESTION }],
  max_tokens: cases.TOKENS,
  temperature: 0,
};
const FORM = { ...ASKED, max_tokens: cases.FORM_TOKENS };
const TOOL = { name: "forecast", input_schema: cases.FORECAST };

function client(options = {}) {
  return new Anthropic({
    baseURL: cases.URL,
    apiKey: cases.KEY,
    maxRetries: 0,
    timeout: cases.TIMEOUT_MS,
    ...options,
  });
}

await cases.run({
  plain: async () => (await client().messages.create(ASKED)).content[0].text,
  stream: async () => {
    const pieces = [];
    for await (const event of client().messages.stream(ASKED))
      if (event.type === "content_block_delta") pieces.push(event.delta.text);
    return pieces;
  },
  usage: async () => (await client().messages.stream(ASKED).finalMessage()).usage.output_tokens,
  tool: async () => {
    const asked = { ...FORM, tools: [TOOL], tool_choice: { type: "any" } };
    const message = await client().messages.create(asked);
    return message.content.find((block) => block.type === "tool_use").input;
  },
  structured: async () => {
    const asked = { ...FORM, output_config: { format: zodOutputFormat(Forecast) } };
    return (await client().messages.parse(asked)).parsed_output;
  },
  refused: () => {
    const hopeless = client({ maxRetries: cases.RETRIES, defaultHeaders: cases.HOPELESS });
    return cases.thrown(429, () => hopeless.messages.create(ASKED));
  },
  wrong_key: () => {
    const stranger = client({ apiKey: cases.WRONG_KEY });
    return cases.thrown(401, () => stranger.messages.create(ASKED));
  },
  abort: () => {
    const endless = { ...ASKED, max_tokens: cases.ENDLESS_TOKENS, ignore_eos: true };
    return cases.leave(client().messages.stream(endless));
  },
});
