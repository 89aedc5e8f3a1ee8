// Vercel's AI SDK with @ai-sdk/openai-compatible.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, Output, streamText, tool } from "ai";
import { z } from "zod";

import * as cases from "./cases.mjs";

const Forecast = z.object({ city: z.enum(["Paris", "Rome"]), days: z.number().int() });

function asked(maxOutputTokens, { key = cases.KEY, fields = {}, ...options } = {}) {
  const provider = createOpenAICompatible({
    name: "sluice",
    baseURL: `${cases.URL}/v1`,
    apiKey: key,
    includeUsage: true,
    supportsStructuredOutputs: true,
    transformRequestBody: (body) => ({ ...body, ...fields }),
  });
  return {
    model: provider(cases.MODEL),
    prompt: cases.QUESTION,
    temperature: 0,
    maxRetries: 0,
    maxOutputTokens,
    ...options,
  };
}

await cases.run({
  plain: async () => (await generateText(asked(cases.TOKENS))).text,
  stream: async () => {
    const pieces = [];
    for await (const piece of streamText(asked(cases.TOKENS)).textStream) pieces.push(piece);
    return pieces;
  },
  usage: async () => {
    const result = streamText(asked(cases.TOKENS));
    await result.consumeStream();
    return (await result.usage).outputTokens;
  },
  tool: async () => {
    const forecast = tool({ description: "The weather of a city.", inputSchema: Forecast });
    const options = { tools: { forecast }, toolChoice: "required" };
    return (await generateText(asked(cases.FORM_TOKENS, options))).toolCalls[0].input;
  },
  structured: async () => {
    const options = { output: Output.object({ schema: Forecast }) };
    return (await generateText(asked(cases.FORM_TOKENS, options))).output;
  },
  refused: () => {
    const options = { maxRetries: cases.RETRIES, headers: cases.HOPELESS };
    return cases.thrown(429, () => generateText(asked(cases.TOKENS, options)));
  },
  wrong_key: () =>
    cases.thrown(401, () => generateText(asked(cases.TOKENS, { key: cases.WRONG_KEY }))),
  abort: async () => {
    const stop = new AbortController();
    const options = { fields: { ignore_eos: true }, abortSignal: stop.signal };
    const pieces = streamText(asked(cases.ENDLESS_TOKENS, options)).textStream;
    const left = await cases.leave(pieces);
    stop.abort();
    return left;
  },
});
