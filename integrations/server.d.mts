export interface Server {
  url: string;
  /** A key with all permissions. */
  key: string;
  /** A member of the company. */
  memberId: string;
  /** A key that may only read contacts. */
  readKey: string;
  stop(): Promise<void>;
}

export function startServer(binary: string | undefined): Promise<Server>;
