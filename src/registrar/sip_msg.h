/*
 * sip_msg: the OPTIONS that a probe sends, and the answers to it (RFC 3261), as far as a probe needs them. Pure, fuzzed.
 */
#ifndef REGISTRAR_SIP_MSG_H
#define REGISTRAR_SIP_MSG_H

#include "base/text.h"
#include "topology/addr.h"

#define SIP_URI_MAX 255
#define SIP_MESSAGE_MAX 65536
#define SIP_TOKEN_MAX 32

struct sip_uri {
	char text[SIP_URI_MAX + 1]; /* as it was given: the Request-URI */
	struct topo_addr addr;
	bool tcp;
};

/* "sip:[user@]IP[:5060][;transport=udp|tcp]". -EINVAL, and `why` is for people. */
MUST_USE int sip_uri_parse(const char *text, struct sip_uri *out, char *why, size_t size);

struct sip_question {
	const struct sip_uri *uri;
	struct topo_addr local;        /* where the answer shall go */
	char token[SIP_TOKEN_MAX + 1]; /* letters and digits that nobody else uses: branch, Call-ID and tag are made of it */
};
void sip_add_options(struct buf *, const struct sip_question *);

struct sip_answer {
	int status;      /* 100..699 */
	char reason[64]; /* printable ASCII */
};
/*
 * One whole message. -ENOMSG: SIP, but no answer to this question (top Via's branch, Call-ID and CSeq decide); -EBADMSG: no SIP.
 */
MUST_USE int sip_answer_parse(const char *data, size_t len, const struct sip_question *, struct sip_answer *out);
/*
 * Of a stream: the bytes of the message that begins it (empty lines before it included); 0: more are needed; -EMSGSIZE over
 * SIP_MESSAGE_MAX; -EBADMSG: where it ends can't be told.
 */
int64_t sip_message_size(const char *data, size_t len);

#endif
