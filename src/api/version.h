/* What the server says it is. Clients branch on the first two (decision 25). */
#ifndef TSINK_API_VERSION_H
#define TSINK_API_VERSION_H

#define API_REDIS_VERSION "7.4.0"       /* HELLO and INFO redis_version */
#define API_PROMETHEUS_VERSION "3.4.0"  /* buildinfo: the level of the query API */
#define API_TS_MODULE_VERSION 80600     /* of the module `timeseries` */

#ifdef TSINK_VERSION
#define API_VERSION TSINK_VERSION
#else
#define API_VERSION "0.1.0"
#endif

#endif
