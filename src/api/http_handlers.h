/* The handlers that routes.def names. Each answers its call. */
#ifndef TSINK_API_HTTP_HANDLERS_H
#define TSINK_API_HTTP_HANDLERS_H

#include "api/route.h"
#include "base/json_write.h"

/* http_status.c: what buildinfo says, into an object. */
void http_put_version(struct json_writer *w);
/* http_promql.c */
void http_query(struct http_call *call);
void http_query_range(struct http_call *call);
void http_query_exemplars(struct http_call *call);
/* http_expr.c */
void http_format_query(struct http_call *call);
void http_parse_query(struct http_call *call);
/* http_meta.c */
void http_series(struct http_call *call);
void http_labels(struct http_call *call);
void http_label_values(struct http_call *call);
void http_metadata(struct http_call *call);
/* http_cardinality.c */
void http_series_count(struct http_call *call);
void http_cardinality_names(struct http_call *call);
void http_cardinality_values(struct http_call *call);
void http_active_series(struct http_call *call);
/* http_export.c */
void http_export(struct http_call *call);
void http_export_csv(struct http_call *call);
/* http_federate.c */
void http_federate(struct http_call *call);
/* http_queries.c */
void http_active_queries(struct http_call *call);
void http_cancel_query(struct http_call *call);
void http_top_queries(struct http_call *call);
/* http_info.c */
void http_runtimeinfo(struct http_call *call);
void http_flags(struct http_call *call);
void http_config(struct http_call *call);
void http_walreplay(struct http_call *call);
void http_self_metrics(struct http_call *call);
void http_features(struct http_call *call);
void http_version(struct http_call *call);
void http_openapi(struct http_call *call);
/* http_ruler.c */
void http_rules(struct http_call *call);
void http_alerts(struct http_call *call);
void http_alertmanagers(struct http_call *call);
void http_targets(struct http_call *call);
void http_targets_metadata(struct http_call *call);
void http_relabel_steps(struct http_call *call);
void http_scrape_pools(struct http_call *call);
void http_scrape_pool_config(struct http_call *call);
void http_notifications(struct http_call *call);
void http_notifications_live(struct http_call *call);
/* http_lifecycle.c */
void http_reload(struct http_call *call);
void http_quit(struct http_call *call);
/* http_status.c */
void http_tsdb_blocks(struct http_call *call);
void http_buildinfo(struct http_call *call);
void http_tsdb_status(struct http_call *call);
void http_healthy(struct http_call *call);
void http_ready(struct http_call *call);
void http_metrics(struct http_call *call);
/* http_ingest.c */
void http_remote_write(struct http_call *call);
void http_import_text(struct http_call *call);
void http_import_lines(struct http_call *call);
void http_import_csv(struct http_call *call);
/* http_remote_read.c */
void http_remote_read(struct http_call *call);
/* http_admin_data.c */
void http_delete_series(struct http_call *call);
void http_clean_tombstones(struct http_call *call);
/* http_snapshot.c */
void http_snapshot(struct http_call *call);

#endif
