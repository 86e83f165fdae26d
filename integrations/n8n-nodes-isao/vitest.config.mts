import { createRequire } from 'node:module';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/unit/**/*.test.ts'],
    // n8n loads the nodes as CommonJS, with n8n-workflow as CommonJS. Its modules cannot be imported by
    // Node.js itself.
    alias: { 'n8n-workflow': createRequire(import.meta.url).resolve('n8n-workflow') },
  },
});
