/* The api's doors to net: who handles a RESP request and an HTTP request. */
#ifndef TSINK_API_HANDLERS_H
#define TSINK_API_HANDLERS_H

#include "api/app.h"

/* Tells the app's hub who handles requests; the app is the user of both protocols. Call
 * once, before listeners open. Requests that come before app->ready are answered with
 * ST_LOADING, except those that need no database (PING, /-/healthy...). */
void api_set_handlers(struct app *app);

#endif
