// SPDX-License-Identifier: Apache-2.0
//
// npm's write-file-atomic, as a program that times itself: see README.md beside this folder for the protocol.
'use strict';
const readline = require('readline');

// Where Debian's packages are, which a Node.js that is not Debian's does not look for.
process.env.NODE_PATH = '/usr/share/nodejs';
require('module').Module._initPaths();
const write = require('write-file-atomic');
const { version } = require('write-file-atomic/package.json');

async function main() {
    console.log(`write-file-atomic ${version}, Node.js ${process.version}`);
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const [, size, count, ...path] = line.split(' ');
        const payload = Buffer.alloc(Number(size), 42);
        const start = process.hrtime.bigint();
        for (let turn = 0; turn < Number(count); turn++) await write(path.join(' '), payload);
        console.log(`${process.hrtime.bigint() - start}`);
    }
}

main();
