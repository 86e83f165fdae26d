// Copies the icons beside the compiled nodes, where n8n looks for them.
import { cpSync } from 'node:fs';

cpSync('icons', 'dist/icons', { recursive: true });
