import { builtinModules } from 'node:module';
import tseslint from 'typescript-eslint';

/** One style, of several that the language has. */
const STYLE = [
  {
    selector:
      ':matches(Program, ExportNamedDeclaration) > VariableDeclaration[kind=const] > VariableDeclarator[id.name=/^[a-z]/]' +
      ' > :matches(Literal:not([regex]), UnaryExpression[argument.type=Literal], BinaryExpression[operator=/^([-+*]|[*]{2}|<<)$/][right.type=Literal]).init',
    message: 'A constant number or text of a module is written in UPPER_CASE.',
  },
  {
    selector:
      ':matches(PropertyDefinition, MethodDefinition:not([kind=constructor]), TSParameterProperty)[accessibility=private]',
    message: 'Private members are written with #.',
  },
  {
    selector: 'SpreadElement > ObjectExpression.argument',
    message: 'List the properties themselves instead of spreading a literal.',
  },
];
const IMPORTS = builtinModules
  .filter((name) => !name.startsWith('node:'))
  .map((name) => ({ name, message: `Import 'node:${name}'.` }));
const TESTS = { name: 'vitest', importNames: ['test'], message: 'Tests are written with `it`.' };

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**', 'e2e/peers/**', '.cache/**', 'e2e/**/*.mjs'] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-non-null-assertion': 'error',
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      // A wire oneof and its codec share one name, and messages without fields are empty interfaces.
      '@typescript-eslint/no-redeclare': 'off',
      '@typescript-eslint/no-empty-object-type': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
      '@typescript-eslint/unified-signatures': 'off',
      eqeqeq: 'error',
      'prefer-const': 'error',
      'no-console': 'error',
      'no-restricted-imports': ['error', { paths: [...IMPORTS, TESTS] }],
      'no-restricted-syntax': ['error', ...STYLE],
    },
  },
  // Generated codecs are straight-line code; their shape is held by tests against protobufjs.
  { files: ['src/wire/gen/**'], rules: { '@typescript-eslint/no-unnecessary-condition': 'off' } },
  // The Kubernetes client declares its objects as classes but takes and gives plain ones.
  {
    files: ['e2e/deploy/**', 'e2e/k8s/**', 'e2e/kubeconfig/**'],
    rules: {
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      '@typescript-eslint/no-misused-spread': 'off',
    },
  },
  {
    // Tests and the code that only they use.
    files: ['**/*.test.ts', '**/*.cases.ts', '**/testing/**', 'e2e/**', 'scripts/**'],
    rules: { '@typescript-eslint/no-non-null-assertion': 'off', 'no-console': 'off' },
  },
);
