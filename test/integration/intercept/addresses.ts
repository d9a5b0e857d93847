/** Who lives where in the tests of interception. */
export const MANAGER = 'manager.sekisho.test';
export const CLIENT_V4 = '10.77.0.2';
export const CLIENT_V6 = '2001:db8:77::2';
export const GUEST_V4 = '10.78.0.2';
export const ROUTER_V4 = '198.51.100.1';
export const ROUTER_V6 = '2001:db8:100::1';
export const DNS = '198.51.100.2';
export const SITE_V4 = '203.0.113.11';
export const SITE_V6 = '2001:db8:11::11';
export const MAIL_V4 = '203.0.113.129';
export const MAIL_V6 = '2001:db8:25::25';
/** A mail server in a private network that is behind the router, too. */
export const PRIVATE_MAIL = '172.20.0.25';
