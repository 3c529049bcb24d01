// LinkPair: two paths of one worker each, joined by hand on virtual time. Frames go over when a
// test says so, which is how it comes between a message and its acknowledgement.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

#include "dataplane/link_path.h"

namespace penstock::test {

class LinkPair {
 public:
  LinkPair() {
    here.link.start(now);
    there.link.start(now);
    settle();
  }

  // All that either side has to say is heard by the other, however often they answer.
  void settle() {
    for (int quiet = 0; quiet < 2;) {
      const bool moved = carry(here.link, there.link) + carry(there.link, here.link) != 0;
      quiet = moved ? 0 : quiet + 1;
      now += 30'000;  // acknowledgements fall due
    }
    take_events(here.link);
    take_events(there.link);
  }
  // What `here` has to send now arrives; nothing comes back.
  size_t one_way() { return carry(here.link, there.link); }

 private:
  static constexpr uint32_t kFrame = 1514;

  static LinkPath::Config config(uint64_t self) {
    LinkPath::Config c;
    c.link.self_id = self;
    c.link.peer_id = 3 - self;
    c.link.index = static_cast<uint32_t>(self);
    c.link.seed = self;
    c.remote = *parse_ip("10.0.0.1");
    return c;
  }

  size_t carry(Link& from, Link& to) {
    std::array<std::vector<std::byte>, 32> room;
    std::array<TxFrame, 32> frames;
    for (size_t i = 0; i < frames.size(); i++) {
      room[i].resize(kFrame);
      frames[i] = {.data = room[i].data(), .room = kFrame - 42};
    }
    const size_t n = from.transmit(frames, now);
    for (const TxFrame& f : std::span(frames).first(n))
      (void)to.on_frame(f.data, f.len, f.payload, f.payload_len, now);
    return n;
  }
  static void take_events(Link& link) {
    LinkEvent e;
    while (link.next_event(e)) {
    }
  }

 public:
  uint64_t now = 1'000'000'000;
  LinkPath here{config(1), kFrame};
  LinkPath there{config(2), kFrame};
};

}  // namespace penstock::test
