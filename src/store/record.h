/*
 * record: the bytes of the store's records. Pure. Writers append to a buf; readers fail sticky: after the first
 * short read everything reads as zero and `bad` is set.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include "base/text.h"
#include "store/store.h"

#define RECORD_VERSION 1
#define RECORD_INSTANCE_VERSION 2 /* 1: without the penalty, and the end of a drain */
#define RECORD_KEY_MAX 511 /* LMDB's */

struct reader {
	const uint8_t *p;
	size_t left;
	bool bad;
};

void put_u8(struct buf *, uint8_t);
void put_u16(struct buf *, uint16_t);
void put_u32(struct buf *, uint32_t);
void put_u64(struct buf *, uint64_t);
void put_text(struct buf *, const char *); /* u16 length and bytes; NULL is 0xffff */
uint8_t get_u8(struct reader *);
uint16_t get_u16(struct reader *);
uint32_t get_u32(struct reader *);
uint64_t get_u64(struct reader *);
char *get_text(struct reader *); /* the caller frees; NULL when it was NULL or short */

void record_instance_key(struct buf *, const char *service, const struct topo_instance *);
void record_instance(struct buf *, const struct topo_instance *);
/* service: at least 64 bytes. -EBADMSG when it is not one of ours. */
MUST_USE int record_read_instance(const void *key, size_t klen, const void *val, size_t vlen, char service[64],
    struct topo_instance *out);
void record_service(struct buf *, const struct store_service *);
MUST_USE int record_read_service(const void *val, size_t vlen, struct store_service *);
/* Behind the prefix: service 0 family ip port, as an instance's. */
void record_drain_key(struct buf *, const char *service, const struct topo_addr *);
void record_drain(struct buf *, const struct store_drain *);
/* -EBADMSG when it is not one of ours; the caller frees `who`. */
MUST_USE int record_read_drain(const void *key, size_t klen, const void *val, size_t vlen, char service[64],
    struct topo_addr *, struct store_drain *);
bool record_registration_key(struct buf *, const char *id); /* false: no id, or longer than a key can be */
void record_registration(struct buf *, const struct store_registration *);
/* -EBADMSG when it is not one of ours; the caller frees *id and the texts (record_registration_clear). */
MUST_USE int record_read_registration(const void *key, size_t klen, const void *val, size_t vlen, char **id,
    struct store_registration *);
void record_registration_clear(struct store_registration *);
void record_history_key(struct buf *, uint64_t generation, const char *target); /* NULL: the difference */

#endif
