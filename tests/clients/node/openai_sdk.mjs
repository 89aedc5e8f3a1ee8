// OpenAI's Node SDK.
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import * as cases from "./cases.mjs";

const Forecast = z.object({ city: z.enum(["Paris", "Rome"]), days: z.number().int() });
const ASKED = {
  model: cases.MODEL,
  messages: [{ role: "user", content: cases.QUESTION }],
  temperature: 0,
  max_tokens: cases.TOKENS,
};
const FORM = { ...ASKED, max_tokens: cases.FORM_TOKENS };
const TOOL = { type: "function", function: { name: "forecast", parameters: cases.FORECAST } };

function client(options = {}) {
  return new OpenAI({
    baseURL: `${cases.URL}/v1`,
    apiKey: cases.KEY,
    maxRetries: 0,
    timeout: cases.TIMEOUT_MS,
    ...options,
  });
}

const create = (body, options) => client(options).chat.completions.create(body);

await cases.run({
  plain: async () => (await create(ASKED)).choices[0].message.content,
  stream: async () => {
    const pieces = [];
    for await (const chunk of await create({ ...ASKED, stream: true }))
      if (chunk.choices[0]?.delta.content) pieces.push(chunk.choices[0].delta.content);
    return pieces;
  },
  usage: async () => {
    let tokens;
    const asked = { ...ASKED, stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await create(asked))
      tokens = chunk.usage?.completion_tokens ?? tokens;
    return tokens;
  },
  tool: async () => {
    const answer = await create({ ...FORM, tools: [TOOL], tool_choice: "required" });
    return JSON.parse(answer.choices[0].message.tool_calls[0].function.arguments);
  },
  structured: async () => {
    const format = zodResponseFormat(Forecast, "forecast");
    const answer = await client().chat.completions.parse({ ...FORM, response_format: format });
    return answer.choices[0].message.parsed;
  },
  refused: () => {
    const options = { maxRetries: cases.RETRIES, defaultHeaders: cases.HOPELESS };
    return cases.thrown(429, () => create(ASKED, options));
  },
  wrong_key: () => cases.thrown(401, () => create(ASKED, { apiKey: cases.WRONG_KEY })),
  abort: async () => {
    const endless = { ...ASKED, max_tokens: cases.ENDLESS_TOKENS, ignore_eos: true };
    return cases.leave(await create({ ...endless, stream: true }));
  },
});
