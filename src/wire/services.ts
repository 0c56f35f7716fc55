export * from './gen/services.ts';
