import './buffer-equality.ts';
import { removeTempFoldersAtEnd } from './temp-folder.ts';

removeTempFoldersAtEnd();
