#!/usr/bin/env node
// A lines worker in Node, without packages: it returns the payload's length and SHA-256.
'use strict';
const { createHash } = require('crypto');
const { readFileSync } = require('fs');

const say = (message) => process.stdout.write(JSON.stringify(message) + '\n');

function payloadOf(task) {
  if ('payload_file' in task) return readFileSync(task.payload_file); // a large one
  if ('payload_b64' in task) return Buffer.from(task.payload_b64, 'base64'); // one that is no text
  return Buffer.from(typeof task.payload === 'string' ? task.payload : JSON.stringify(task.payload));
}

function handle(line) {
  const message = JSON.parse(line);
  if (!('task' in message)) return; // a cancel; or a quit, after which stdin ends
  try {
    const data = payloadOf(message);
    if (!data.length) throw new Error('an empty payload');
    say({ done: message.task, result: { bytes: data.length, sha256: createHash('sha256').update(data).digest('hex') } });
  } catch (why) { // one bad task must not end the program
    say({ fail: message.task, error: String(why.message), retry: false });
  }
}

say({ hello: 1, max: 1 });
let rest = '';
// Not readline: it takes some characters for the end of a line that JSON allows inside of a string. At the end of stdin node leaves by itself.
process.stdin.setEncoding('utf8').on('data', (chunk) => {
  const lines = (rest + chunk).split('\n');
  rest = lines.pop();
  lines.forEach(handle);
});
