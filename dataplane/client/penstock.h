/* penstock.h: the client of a Penstock node, in C so that every language can bind it.
 *
 *   penstock_attach ──▶ client ──┬─ penstock_publisher  (to every subscriber) ──▶ sender
 *                                ├─ penstock_pusher     (to one puller each)  ──▶ sender
 *                                ├─ penstock_subscriber ──▶ receiver
 *                                └─ penstock_puller     ──▶ receiver
 *
 * Threads: a client and everything made from it belong to one thread at a time; any number of
 * clients per process is fine. The library starts no thread. After fork() the child must not use
 * them (close does nothing there); let the child attach by itself.
 *
 * Set-up calls (attach, publisher, pusher, subscriber, puller, topic, query) wait for the node.
 * When they fail, penstock_last_error() says what went wrong and how to mend it; on a NULL object
 * they answer INVALID and leave that sentence alone. Each may answer, besides what stands with it:
 * CLOSED, the node is gone; TIMEOUT, it did not answer within 30 s and counts as gone; VERSION, it
 * broke the protocol and counts as gone; NO_MEMORY; SYSTEM, mostly: out of descriptors; INVALID, in
 * a child of the process that attached.
 *
 * Everything else takes no NULL object. For a message it neither allocates nor makes a system call,
 * with these exceptions: waking a receiver that sleeps; a look at the node's socket about every
 * millisecond, and mapping the publishers that it speaks of; memory for the name of a topic that a
 * receiver sees for the first time of a publisher, for the copy of a message that is larger than
 * all before in a subscriber that may drop, and for more than 16 parts in penstock_sendv.
 *
 * Pointers: an `out` is written only on PENSTOCK_OK. Strings are zero-terminated UTF-8 and copied;
 * option structs may be NULL or all zero, which means defaults. Until 1.0 a program has to be built
 * with the header of the library that it runs with. */
#ifndef PENSTOCK_H
#define PENSTOCK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PENSTOCK_API __attribute__((visibility("default")))

typedef enum penstock_code {
  PENSTOCK_OK = 0,
  PENSTOCK_WOULD_BLOCK = 1, /* full for now: a receiver is behind; nothing was sent */
  PENSTOCK_NO_ROUTE = 2,    /* nobody takes it: no puller; nothing was sent */
  PENSTOCK_TOO_BIG = 3,     /* larger than the sender's arena, or than the node allows */
  PENSTOCK_BAD_TOPIC = 4,   /* not a valid topic or filter, or not an id of this sender */
  PENSTOCK_CLOSED = 5,      /* the node went away, or the client was closed */
  PENSTOCK_INVALID = 6,     /* an argument makes no sense */
  PENSTOCK_NO_MEMORY = 7,
  PENSTOCK_NO_DEVICE = 8, /* the node has no RDMA device */
  PENSTOCK_BUSY = 9,      /* reserved */
  PENSTOCK_TIMEOUT = 10,  /* nothing came in time */
  PENSTOCK_DENIED = 11,   /* not permitted */
  PENSTOCK_VERSION = 12,  /* the node speaks another version */
  PENSTOCK_EVICTED = 13,  /* the subscription has ended: too slow, no right to it by now, or not
                           * served as it requires */
  PENSTOCK_FULL = 14,     /* a table of fixed size has no room */
  PENSTOCK_NOT_FOUND = 15,
  PENSTOCK_SYSTEM = 16 /* the kernel refused; errno says why */
} penstock_code;

typedef struct penstock_client penstock_client;
typedef struct penstock_sender penstock_sender;     /* a publisher or a pusher */
typedef struct penstock_receiver penstock_receiver; /* a subscriber or a puller */

/* The text of a code, never NULL. */
PENSTOCK_API const char* penstock_text(penstock_code code);

/* One sentence about the last set-up call of this thread that failed, or why the last call answered
 * CLOSED or EVICTED; never NULL. Valid until the next set-up call of this thread. */
PENSTOCK_API const char* penstock_last_error(void);

/* ---- client ---- */

/* Attaches to the node at `socket`; NULL: $PENSTOCK_SOCKET, or /run/penstock/penstock.sock when
 * that is not set. `name` (at most 63 bytes; NULL: the program's) is what the node's tables show.
 * The caller gives *out to penstock_close.
 * The tenant is $PENSTOCK_TENANT, or when that is not set the first that the node's rules give to
 * this user; without rules there is one, "default".
 * NOT_FOUND: no node there. DENIED: no right to attach, or to the tenant. FULL: as many programs as
 * the rule allows are attached. VERSION: another protocol. INVALID: the name or the path is too
 * long or empty. CLOSED: the node hung up, having all the clients it allows.
 */
PENSTOCK_API penstock_code penstock_attach(const char* socket, const char* name,
                                           penstock_client** out);

/* The same with the tenant: topics and filters of a tenant mean nothing in another. NULL: as
 * penstock_attach. INVALID, too: it has not 1 to 32 letters, digits, '_' and '-'. */
PENSTOCK_API penstock_code penstock_attach_tenant(const char* socket, const char* name,
                                                  const char* tenant, penstock_client** out);

/* Leaves the node. Senders and receivers of the client are closed with it: their calls answer
 * PENSTOCK_CLOSED, and they still go to their own close. NULL is fine. */
PENSTOCK_API void penstock_close(penstock_client* client);

/* The id of the node, as in penstock_message.origin_node. */
PENSTOCK_API uint64_t penstock_node_id(const penstock_client* client);

/* Asks the node something: "clients", "lanes", "links", "ports", "drops", "node", "topology". *out
 * is JSON text that the caller gives to penstock_free; to a question that it does not know, the
 * node answers {"error": ...}. INVALID: longer than any question. */
PENSTOCK_API penstock_code penstock_query(penstock_client* client, const char* question,
                                          char** out);
PENSTOCK_API void penstock_free(void* memory);

/* ---- senders ---- */

typedef struct penstock_sender_options {
  const char* name;      /* at most 63 bytes; receivers and tables show it. NULL: the client's */
  uint32_t ring_entries; /* messages that can wait for the slowest receiver, rounded up to 2^n */
  uint32_t max_topics;   /* different topics this sender can have */
  uint64_t arena_bytes;  /* bytes that can wait, rounded up to 2^n; also the largest message.
                          * All three 0: the node's default. Some 0: 1024, 256, 4 MiB */
  uint32_t timestamps;   /* 1: stamp each message with the time it was sent: ~20 ns here, and as
                            much where it is received, which counts the delay for the metrics */
  uint32_t reserved;     /* 0 */
} penstock_sender_options;

/* A publisher: each message goes to every subscriber with a matching filter. With none it goes
 * nowhere, which is no error. The caller gives *out to penstock_sender_close.
 * INVALID: the name is too long or empty, or a size beyond what a lane can have. TOO_BIG: more than
 * the node allows (lane.max_arena). FULL: the client has as many as the node allows. */
PENSTOCK_API penstock_code penstock_publisher(penstock_client* client,
                                              const penstock_sender_options* options,
                                              penstock_sender** out);

/* A pusher: each message goes to one puller with a matching filter. The caller gives *out to
 * penstock_sender_close. INVALID, TOO_BIG, FULL: as of a publisher. */
PENSTOCK_API penstock_code penstock_pusher(penstock_client* client,
                                           const penstock_sender_options* options,
                                           penstock_sender** out);

/* What was sent is still delivered. NULL is fine. */
PENSTOCK_API void penstock_sender_close(penstock_sender* sender);

/* The id under which `sender` sends to topic `name`. Set-up: the first call for a name waits for
 * the node to join everybody who wants it, so that nothing sent afterwards is missed; the next ones
 * are a look-up. BAD_TOPIC: words, separated by dots, none empty, no '*' or '#', at most 255 bytes.
 * FULL: more than max_topics. */
PENSTOCK_API penstock_code penstock_topic(penstock_sender* sender, const char* name, uint32_t* out);

typedef struct penstock_bytes {
  const void* data;
  size_t len;
} penstock_bytes;

/* Copies `len` bytes and sends them. Never waits.
 * WOULD_BLOCK: full; NO_ROUTE: a pusher without puller; TOO_BIG, BAD_TOPIC. CLOSED: the node has
 * ended the lane; one message, that in whose call it did, may have been delivered for all that. */
PENSTOCK_API penstock_code penstock_send(penstock_sender* sender, uint32_t topic, const void* data,
                                         size_t len);

/* The same; messages with the same key (not 0) go to the same puller while the group is as it is,
 * and the receiver sees the key. */
PENSTOCK_API penstock_code penstock_send_key(penstock_sender* sender, uint32_t topic, uint64_t key,
                                             const void* data, size_t len);

/* Sends 1 to 65535 parts as one message, which arrives whole or not at all. `key` 0: none. */
PENSTOCK_API penstock_code penstock_sendv(penstock_sender* sender, uint32_t topic, uint64_t key,
                                          const penstock_bytes* parts, size_t count);

/* As penstock_send_key, but waits up to `timeout_ns` (-1: for ever) for room and, a pusher, for a
 * puller: spins, then yields, then sleeps shortly. When time is up it answers what stands in the
 * way, WOULD_BLOCK or NO_ROUTE. */
PENSTOCK_API penstock_code penstock_send_wait(penstock_sender* sender, uint32_t topic, uint64_t key,
                                              const void* data, size_t len, int64_t timeout_ns);

/* Zero copy: room for `len` bytes (64-byte aligned) to write the message in place. It stays the
 * sender's; write to it until penstock_commit. Another loan or send before commit replaces it.
 * WOULD_BLOCK, NO_ROUTE, TOO_BIG, CLOSED. */
PENSTOCK_API penstock_code penstock_loan(penstock_sender* sender, size_t len, void** out);

/* Sends what was loaned; `len` may be less than was loaned. INVALID: nothing is loaned, or `len` is
 * more. BAD_TOPIC (the loan stays). CLOSED: as of penstock_send. */
PENSTOCK_API penstock_code penstock_commit(penstock_sender* sender, uint32_t topic, uint64_t key,
                                           size_t len);

typedef struct penstock_sender_stats {
  uint64_t sent;        /* messages */
  uint64_t bytes;       /* of payload */
  uint64_t would_block; /* sends and loans that found no room */
  uint64_t no_route;    /* sends and loans that found no puller */
  uint32_t readers;     /* who reads now: receivers on this host, and links to others */
  uint32_t topics;
  uint64_t reserved[4];
} penstock_sender_stats;

PENSTOCK_API void penstock_sender_get_stats(penstock_sender* sender, penstock_sender_stats* out);

/* ---- receivers ---- */

/* What becomes of a subscriber that is behind. Whatever it misses it is told as a gap, before the
 * next message of that publisher. */
typedef enum penstock_policy {
  /* It misses nothing, and holds a publisher back whose lane it leaves no room in. After block_ns
   * in which it alone held a full publisher back and let go of nothing, it is disconnected. */
  PENSTOCK_BLOCK = 0,
  /* It holds nobody back and misses the oldest: "overrun". As with all that follow but DISCONNECT,
   * messages are copied out of the publisher's memory before they are shown. */
  PENSTOCK_DROP_OLDEST = 1,
  /* It holds nobody back and gets the newest message of each topic only; those that had a newer one
   * when it came to them are "conflated". */
  PENSTOCK_CONFLATE = 2,
  /* It misses nothing as long as it keeps up: when it is further behind than its limits, or holds a
   * publisher back, the node ends the subscription. For each publisher comes a gap "too_slow", then
   * penstock_recv answers PENSTOCK_EVICTED. */
  PENSTOCK_DISCONNECT = 3,
  /* It holds nobody back and misses the newest: when more wait than its limits allow it gets those
   * within, and what came behind them is "over_limit". What waits stays in the publisher's lane: it
   * is "overrun" when the publisher gets there before the receiver does. */
  PENSTOCK_DROP_NEWEST = 4
} penstock_policy;

/* How messages of other nodes may come to a subscriber. Those of its own host it reads where they
 * were written. Messages of the node's option rdma.from or larger go by RDMA where both nodes have
 * it, straight into memory that the subscriber reads; else by frames, and are copied once at the
 * receiver, as all smaller ones are. penstock_message.copied says which did. */
typedef enum penstock_path {
  PENSTOCK_ANY_PATH = 0,
  /* The same, but the node raises "slow_path" while large messages are copied. */
  PENSTOCK_PREFER_ZERO_COPY = 1,
  /* No large message that was copied is shown. While there is no connection by RDMA the publisher's
   * node keeps them back, and what is behind them, up to its option rdma.wait; that holds for all
   * subscribers of this node that read the publisher. When one is copied after all, because time
   * was up or it cannot go by RDMA, the subscription ends there: a gap "not_zero_copy", then
   * penstock_recv answers PENSTOCK_EVICTED. Only with BLOCK and DISCONNECT: the others copy
   * whatever they show. */
  PENSTOCK_REQUIRE_ZERO_COPY = 2
} penstock_path;

/* The node looks at those with BLOCK and DISCONNECT every 50 ms: who is too far behind for less may
 * go unnoticed, and a full publisher is held back for up to so much longer. The others look for
 * themselves, before each message: one that is larger than limit_bytes is still shown. Bytes are
 * those of the publisher's arena: each message rounded up to 64, and what it left free where it
 * wrapped. */
typedef struct penstock_subscriber_options {
  uint32_t policy;         /* a penstock_policy */
  uint32_t path;           /* a penstock_path */
  uint64_t limit_messages; /* of one publisher, may wait; 0: what its lane holds (DROP_NEWEST: half
                            * of that). Not with BLOCK and CONFLATE */
  uint64_t limit_bytes;    /* the same in bytes */
  uint64_t block_ns;       /* BLOCK: how long it may hold a full publisher back; 0: for ever */
} penstock_subscriber_options;

/* Subscribes to `filter`: a topic in which `*` stands for one word and `#` for any number of words.
 * When it returns, every present publisher on every node has been joined: what is sent from then on
 * arrives. The caller gives *out to penstock_receiver_close. BAD_TOPIC: not a filter. INVALID: an
 * option that its policy has no use for. FULL: the client has as many subscriptions as the node
 * allows. NO_DEVICE: it requires zero copy, and this node has no RDMA device. */
PENSTOCK_API penstock_code penstock_subscriber(penstock_client* client, const char* filter,
                                               const penstock_subscriber_options* options,
                                               penstock_receiver** out);

typedef struct penstock_puller_options {
  uint32_t ring_entries; /* of the inbox: messages that may wait here, rounded up to 2^n */
  uint32_t reserved;     /* 0 */
  uint64_t arena_bytes;  /* of the inbox, rounded up to 2^n. Both 0: the node's default */
} penstock_puller_options;

/* Joins the group of all pullers of `filter`: each message that pushers send to a matching topic
 * goes to one of them. The caller gives *out to penstock_receiver_close. BAD_TOPIC, FULL: as of a
 * subscriber. INVALID: the inbox is larger than a lane can be, or than the node allows. */
PENSTOCK_API penstock_code penstock_puller(penstock_client* client, const char* filter,
                                           const penstock_puller_options* options,
                                           penstock_receiver** out);

/* NULL is fine. */
PENSTOCK_API void penstock_receiver_close(penstock_receiver* receiver);

/* A message, in the memory where it was written. All pointers are valid until the next
 * penstock_recv, penstock_poll, penstock_release or close of its receiver, or the close of its
 * client; in a handler, until it returns.
 *
 * When gap_count is not 0 it is no message but a notice (parts 0, len 0): up to gap_count messages
 * (PENSTOCK_GAP_UNKNOWN: nobody knows) from `position` on will not come, for gap_reason. The notice
 * comes in order, before the next message of that lane. "evicted" is the last of a lane: the node
 * has removed this receiver from it, because the position that it claims cannot be. So is
 * "too_slow" or "not_zero_copy", and the subscription ends; and "peer_down" with
 * PENSTOCK_GAP_UNKNOWN: the sender's node was lost, and nobody here knows whether it had more. */
#define PENSTOCK_GAP_UNKNOWN UINT64_MAX
typedef struct penstock_message {
  const void* data;      /* the first part, never NULL */
  size_t len;            /* bytes in it */
  const char* topic;     /* zero-terminated; "" for a gap */
  uint64_t position;     /* in the lane where it was first published, counted from 0 */
  uint64_t lane;         /* the id of that lane */
  uint64_t time_ns;      /* when it was sent, ns since 1970 by the sender's clock; 0: not stamped */
  uint64_t key;          /* 0: none */
  uint64_t origin_node;  /* the node whose client sent it */
  const char* publisher; /* the sender's name; a puller's messages have the group's */
  uint64_t gap_count;
  uint32_t gap_reason; /* for penstock_reason_text */
  uint32_t topic_len;
  uint32_t parts;
  uint32_t copied;   /* 1: large, and came by frames, not by RDMA: see penstock_path */
  const void* whole; /* for penstock_part, when there are several: all parts and their table */
  size_t whole_len;
} penstock_message;

/* Part `index` of a message. NOT_FOUND: there is none, or the sender wrote nonsense. */
PENSTOCK_API penstock_code penstock_part(const penstock_message* message, uint32_t index,
                                         penstock_bytes* out);

/* The word for a gap's reason, as in metrics: "overrun", "evicted", ...; never NULL. */
PENSTOCK_API const char* penstock_reason_text(uint32_t reason);

/* The next message, or gap. Waits up to `timeout_ns`; 0: not at all, -1: for ever. Lets go of the
 * message before. Publishers are taken in turn.
 * TIMEOUT: nothing came. CLOSED: the node is gone, and everything that was there has been read.
 * EVICTED: the node ended the subscription; penstock_last_error() says why and how to mend it. */
PENSTOCK_API penstock_code penstock_recv(penstock_receiver* receiver, penstock_message* out,
                                         int64_t timeout_ns);

typedef void (*penstock_handler)(void* context, const penstock_message* message);

/* Hands up to `limit` messages and gaps to `handler`, without waiting, and lets go of them. Returns
 * how many (0: nothing there now), or minus PENSTOCK_CLOSED or minus PENSTOCK_EVICTED. The handler
 * may use any sender of the client, but not this receiver. */
PENSTOCK_API int64_t penstock_poll(penstock_receiver* receiver, penstock_handler handler,
                                   void* context, size_t limit);

/* Lets go of the last message now, instead of at the next call. */
PENSTOCK_API void penstock_release(penstock_receiver* receiver);

/* A descriptor for poll, epoll or asyncio; it stays the receiver's. It becomes readable when there
 * may be something to receive; then recv (timeout 0) or poll until nothing is left: that arms it
 * again. Only wait on it after recv or poll has found nothing.
 * It also becomes readable 100 ms after that, because a publisher that has not heard of this
 * receiver yet wakes nobody: an idle program looks ten times a second, which takes less than 0.1 %
 * of a core. From the first call of this on, finding nothing costs a few system calls. */
PENSTOCK_API int penstock_event_fd(penstock_receiver* receiver);

#define PENSTOCK_REASONS 32

typedef struct penstock_receiver_stats {
  uint64_t delivered;              /* messages */
  uint64_t bytes;                  /* of payload */
  uint64_t skipped;                /* seen in a publisher's lane, but not of a matching topic */
  uint64_t gaps[PENSTOCK_REASONS]; /* messages missed, by reason */
  uint32_t lanes;                  /* publishers (or inboxes) read now */
  uint32_t reserved;
} penstock_receiver_stats;

PENSTOCK_API void penstock_receiver_get_stats(const penstock_receiver* receiver,
                                              penstock_receiver_stats* out);

#ifdef __cplusplus
}
#endif

#endif /* PENSTOCK_H */
