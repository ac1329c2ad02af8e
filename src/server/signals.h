/* Signals of the process: SIGTERM and SIGINT ask for an orderly stop, a second one for an
 * end at once; SIGPIPE is ignored; SIGHUP does nothing. Handlers only count. */
#ifndef TSINK_SERVER_SIGNALS_H
#define TSINK_SERVER_SIGNALS_H

/* Installs the handlers; main thread, once. */
void signals_install(void);

/* How many SIGTERM and SIGINT have come. Any thread. */
int signals_n_stops(void);

#endif
