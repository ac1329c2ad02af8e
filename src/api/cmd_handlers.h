/* The handlers and argument shapes that commands.def names. */
#ifndef TSINK_API_CMD_HANDLERS_H
#define TSINK_API_CMD_HANDLERS_H

#include "api/command.h"

/* cmd_connection.c */
status cmd_ping(struct call *call, const void *args);
status cmd_echo(struct call *call, const void *args);
status cmd_hello(struct call *call, const void *args);
status cmd_auth(struct call *call, const void *args);
status cmd_select(struct call *call, const void *args);
status cmd_quit(struct call *call, const void *args);
status cmd_reset(struct call *call, const void *args);

/* cmd_client.c */
status cmd_client_id(struct call *call, const void *args);
status cmd_client_getname(struct call *call, const void *args);
status cmd_client_setname(struct call *call, const void *args);
status cmd_client_setinfo(struct call *call, const void *args);
status cmd_client_info(struct call *call, const void *args);
status cmd_client_list(struct call *call, const void *args);
status cmd_client_kill(struct call *call, const void *args);
status cmd_client_no_evict(struct call *call, const void *args);
status cmd_client_no_touch(struct call *call, const void *args);
status cmd_client_reply(struct call *call, const void *args);
status cmd_client_getredir(struct call *call, const void *args);
status cmd_client_pause(struct call *call, const void *args);
status cmd_client_trackinginfo(struct call *call, const void *args);
status cmd_client_unpause(struct call *call, const void *args);

/* cmd_command.c */
status cmd_command(struct call *call, const void *args);
status cmd_command_count(struct call *call, const void *args);
status cmd_command_docs(struct call *call, const void *args);
status cmd_command_getkeys(struct call *call, const void *args);
status cmd_command_info(struct call *call, const void *args);
status cmd_command_list(struct call *call, const void *args);
status cmd_command_getkeysandflags(struct call *call, const void *args);

/* cmd_server.c */
status cmd_info(struct call *call, const void *args);
status cmd_dbsize(struct call *call, const void *args);
status cmd_time(struct call *call, const void *args);
status cmd_shutdown(struct call *call, const void *args);
status cmd_config_get(struct call *call, const void *args);
status cmd_config_set(struct call *call, const void *args);
status cmd_config_resetstat(struct call *call, const void *args);
status cmd_config_rewrite(struct call *call, const void *args);

/* cmd_debug.c */
status cmd_debug_check(struct call *call, const void *args);
status cmd_debug_compact(struct call *call, const void *args);
status cmd_debug_flush(struct call *call, const void *args);
status cmd_debug_panic(struct call *call, const void *args);
status cmd_debug_set_active_expire(struct call *call, const void *args);
status cmd_debug_sleep(struct call *call, const void *args);

/* cmd_write.c */
status cmd_ts_create(struct call *call, const void *args);
status cmd_ts_add(struct call *call, const void *args);
status cmd_ts_madd(struct call *call, const void *args);
status cmd_ts_incrby(struct call *call, const void *args);
status cmd_ts_decrby(struct call *call, const void *args);
extern const struct arg_shape ts_create_shape, ts_add_shape, ts_incr_shape;

/* cmd_nrange.c */
status cmd_ts_nrange(struct call *call, const void *args);
status cmd_ts_nrevrange(struct call *call, const void *args);

/* cmd_querylabels.c */
status cmd_ts_querylabels(struct call *call, const void *args);

/* cmd_read.c */
status cmd_ts_read(struct call *call, const void *args);

/* cmd_rule.c */
status cmd_ts_createrule(struct call *call, const void *args);
status cmd_ts_deleterule(struct call *call, const void *args);

/* cmd_alter.c */
status cmd_ts_alter(struct call *call, const void *args);
extern const struct arg_shape ts_alter_shape;

/* cmd_range.c */
status cmd_ts_get(struct call *call, const void *args);
status cmd_ts_range(struct call *call, const void *args);
status cmd_ts_revrange(struct call *call, const void *args);
status cmd_ts_mget(struct call *call, const void *args);
status cmd_ts_mrange(struct call *call, const void *args);
status cmd_ts_mrevrange(struct call *call, const void *args);
extern const struct arg_shape ts_range_shape;

/* cmd_series.c */
status cmd_ts_info(struct call *call, const void *args);
status cmd_ts_queryindex(struct call *call, const void *args);
status cmd_ts_del(struct call *call, const void *args);
extern const struct arg_shape ts_del_shape;

/* cmd_delete.c */
status cmd_ts_delseries(struct call *call, const void *args);

/* cmd_discover.c */
status cmd_ts_series(struct call *call, const void *args);
status cmd_ts_labels(struct call *call, const void *args);
status cmd_ts_labelvalues(struct call *call, const void *args);
extern const struct arg_shape ts_discover_shape, ts_labelvalues_shape;

/* cmd_promql.c */
status cmd_ts_query(struct call *call, const void *args);
status cmd_ts_queryrange(struct call *call, const void *args);
extern const struct arg_shape ts_query_shape, ts_queryrange_shape;

/* cmd_snapshot.c */
status cmd_ts_snapshot(struct call *call, const void *args);

/* cmd_keyspace.c */
status cmd_exists(struct call *call, const void *args);
status cmd_type(struct call *call, const void *args);
status cmd_randomkey(struct call *call, const void *args);
status cmd_object_encoding(struct call *call, const void *args);
status cmd_object_freq(struct call *call, const void *args);
status cmd_object_idletime(struct call *call, const void *args);
status cmd_object_refcount(struct call *call, const void *args);
status cmd_del(struct call *call, const void *args);
status cmd_flushall(struct call *call, const void *args);

/* cmd_scan.c */
status cmd_keys(struct call *call, const void *args);
status cmd_scan(struct call *call, const void *args);

/* cmd_expire.c */
status cmd_expire(struct call *call, const void *args);
status cmd_ttl(struct call *call, const void *args);
status cmd_persist(struct call *call, const void *args);

/* cmd_multi.c */
status cmd_multi(struct call *call, const void *args);
status cmd_exec(struct call *call, const void *args);
status cmd_discard(struct call *call, const void *args);
status cmd_watch(struct call *call, const void *args);
status cmd_unwatch(struct call *call, const void *args);

/* cmd_pubsub.c */
status cmd_subscribe(struct call *call, const void *args);
status cmd_unsubscribe(struct call *call, const void *args);
status cmd_psubscribe(struct call *call, const void *args);
status cmd_punsubscribe(struct call *call, const void *args);
status cmd_publish(struct call *call, const void *args);
status cmd_pubsub_channels(struct call *call, const void *args);
status cmd_pubsub_numpat(struct call *call, const void *args);
status cmd_pubsub_numsub(struct call *call, const void *args);
status cmd_monitor(struct call *call, const void *args);

/* cmd_rename.c */
status cmd_rename(struct call *call, const void *args);

/* cmd_save.c */
status cmd_save(struct call *call, const void *args);
status cmd_bgsave(struct call *call, const void *args);
status cmd_bgrewriteaof(struct call *call, const void *args);
status cmd_lastsave(struct call *call, const void *args);
status cmd_wait(struct call *call, const void *args);
status cmd_waitaof(struct call *call, const void *args);

/* cmd_topology.c */
status cmd_role(struct call *call, const void *args);
status cmd_cluster(struct call *call, const void *args);
status cmd_accepted(struct call *call, const void *args);
status cmd_module_list(struct call *call, const void *args);
status cmd_lolwut(struct call *call, const void *args);

/* cmd_memory.c */
status cmd_memory_doctor(struct call *call, const void *args);
status cmd_memory_stats(struct call *call, const void *args);
status cmd_memory_usage(struct call *call, const void *args);

/* cmd_acl.c */
status cmd_acl_cat(struct call *call, const void *args);
status cmd_acl_deluser(struct call *call, const void *args);
status cmd_acl_dryrun(struct call *call, const void *args);
status cmd_acl_genpass(struct call *call, const void *args);
status cmd_acl_getuser(struct call *call, const void *args);
status cmd_acl_list(struct call *call, const void *args);
status cmd_acl_load(struct call *call, const void *args);
status cmd_acl_log(struct call *call, const void *args);
status cmd_acl_save(struct call *call, const void *args);
status cmd_acl_setuser(struct call *call, const void *args);
status cmd_acl_whoami(struct call *call, const void *args);

/* cmd_slow.c */
status cmd_slowlog_get(struct call *call, const void *args);
status cmd_slowlog_len(struct call *call, const void *args);
status cmd_slowlog_reset(struct call *call, const void *args);
status cmd_latency_doctor(struct call *call, const void *args);
status cmd_latency_histogram(struct call *call, const void *args);
status cmd_latency_history(struct call *call, const void *args);
status cmd_latency_latest(struct call *call, const void *args);
status cmd_latency_reset(struct call *call, const void *args);

/* cmd_copy.c */
status cmd_copy(struct call *call, const void *args);
status cmd_dump(struct call *call, const void *args);
status cmd_restore(struct call *call, const void *args);

#endif
