export interface Account {
  readonly name: string;
  readonly password: string;
}
