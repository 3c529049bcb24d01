// Feed: where an OutLane gets its messages. Implemented by whoever reads the lane (a forward, a
// group's remote member); called by the link on the worker's core, one call a burst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/lane/message.h"

namespace penstock {

class Feed {
 public:
  Feed() = default;
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;
  virtual ~Feed() = default;

  // Fills `out` from the front with the next messages for this peer, in order, and returns how
  // many. Each stays readable where it is until released() passes it. Message.position grows, not
  // necessarily by one; Message.topic is a row of the mirror's topic table. A gap (kFlagGap) is
  // passed on. 0: nothing now, and the link does not ask again before Link::wake().
  virtual size_t next(std::span<Message> out) = 0;

  // A message that next() gave and that was not released, once more, for a retransmission. False:
  // it no longer makes sense (its publisher scribbled on it), and goes as a gap instead.
  virtual bool look(uint64_t position, Message& m) = 0;

  // Everything that next() gave before `position` is at the peer and may be let go of.
  virtual void released(uint64_t position) = 0;

  // What the memory of the messages is known by to the port (a Region), handed through to
  // TxFrame.region. Null: frames may not refer to it, so large messages are copied as well.
  virtual void* region() = 0;
};

}  // namespace penstock
