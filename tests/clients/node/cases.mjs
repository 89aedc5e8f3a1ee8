// What every client program is asked, and what counts as right; one JSON line per case.
//
// A program is run as `node PROGRAM URL MODEL KEY`. Names, prompts and bounds as in
// ../python/cases.py.

export const [URL, MODEL, KEY] = process.argv.slice(2);
export const WRONG_KEY = "sk-wrong";
export const QUESTION = "What is the weather in Rome tomorrow?";
export const TOKENS = 8; // of a plain answer
export const FORM_TOKENS = 200; // of a tool call, or of an answer in a form
export const ENDLESS_TOKENS = 1000; // of an answer that is left
export const LEFT_AFTER = 3; // pieces of it
export const HOPELESS = { "x-slo-ttft-ms": "1" }; // no first token comes so early: 429 ttft_slo
export const RETRIES = 1;
export const TIMEOUT_MS = 120_000;
const CITIES = ["Paris", "Rome"];
// no `strict`, no `additionalProperties`: as most clients send tools
export const FORECAST = {
  type: "object",
  properties: { city: { type: "string", enum: CITIES }, days: { type: "integer" } },
  required: ["city", "days"],
};

const isForecast = (came) => CITIES.includes(came.city) && Number.isInteger(came.days);
const isText = (came) => typeof came === "string" && came.trim() !== "";
const RIGHT = {
  plain: isText,
  stream: (pieces) => pieces.length > 1 && isText(pieces.join("")),
  usage: (tokens) => tokens === TOKENS, // output tokens that the end of a stream tells
  tool: isForecast,
  structured: isForecast,
  refused: isText, // the error's name, after RETRIES that waited as told
  wrong_key: isText,
  abort: (pieces) => pieces === LEFT_AFTER, // that the gateway noticed is seen in its log
};

// The name of the error that `call` throws, with its HTTP status.
export async function thrown(status, call) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    const told = error.status ?? error.statusCode ?? error.lastError?.statusCode;
    if (told !== status) throw error;
    return `${error.name === "Error" ? error.constructor.name : error.name} ${status}`;
  }
  throw new Error(`no error, but ${JSON.stringify(answer)}`);
}

// Reads the first pieces of a stream and no more; how many.
export async function leave(pieces) {
  let count = 0;
  for await (const _ of pieces) if (++count === LEFT_AFTER) return count;
  throw new Error("the stream ended by itself");
}

// Runs all cases, each whatever became of the others.
export async function run(cases) {
  for (const [name, call] of Object.entries(cases)) {
    let came, ok;
    try {
      came = await call();
      ok = Boolean(RIGHT[name](came));
    } catch (error) {
      [came, ok] = [`${error.name}: ${error.message}`, false];
    }
    console.log(JSON.stringify({ case: name, ok, came }));
  }
  process.exit(0); // idle connections would keep it
}
