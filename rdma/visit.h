// Visit: how somebody who takes a thing away learns that a worker is done with it. The worker says
// when it goes in and when it comes out; it takes no lock and never waits. May lie in memory that
// two processes share.
//
//   worker                           who takes away
//   enter: odd, fence                the thing is marked as gone
//   looks at the mark, uses it       departure: fence, what does the worker say?
//   leave: even                      passed(): it was out, or has come out since
//
// Either the worker sees the mark, or the other side sees it inside.
#pragma once

#include <cstdint>

#include "dataplane/base/shared_word.h"

namespace penstock {

class Visit {
 public:
  // The worker only; not nested.
  void enter() {
    word_.store(word_.load_relaxed() + 1);
    full_fence();
  }
  void leave() { word_.store(word_.load_relaxed() + 1); }

  // Others: after the mark, a number to ask passed() with until it says so.
  uint64_t departure() const {
    full_fence();
    return word_.load();
  }
  bool passed(uint64_t seen) const { return (seen & 1) == 0 || word_.load() != seen; }

 private:
  SharedWord word_;
};

}  // namespace penstock
