/**
 * The test string of eicar.org, which every scanner is to report as a virus. In two parts, lest the scanner of a
 * developer's machine takes this file away.
 */
export const EICAR = Buffer.from(['X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD', '-ANTIVIRUS-TEST-FILE!$H+H*'].join(''));
