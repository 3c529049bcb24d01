// TestLane: a lane in this process, with its desk, its writer and as many readers as a test wants.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "dataplane/lane/layout.h"
#include "dataplane/lane/node_page.h"
#include "dataplane/lane/reader.h"
#include "dataplane/lane/writer.h"
#include "dataplane/link/feed.h"
#include "dataplane/port.h"

namespace penstock::test {

class TestLane {
 public:
  // `head` and `fill` (a multiple of 64): where the lane starts.
  explicit TestLane(const LaneGeometry& geometry, uint64_t id = 1, uint64_t head = 0,
                    uint64_t fill = 0);

  LaneWriter& writer() { return writer_; }
  // A reader that from now on gets what is published.
  LaneReader read(bool lossy = false);
  const LaneGeometry& geometry() const { return geometry_; }
  Region& region() { return region_; }
  LaneDesk& desk() { return desk_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };

  LaneGeometry geometry_;
  std::unique_ptr<std::byte, Free> memory_;
  std::unique_ptr<NodePage> page_;
  std::unique_ptr<PositionTable> positions_;
  uint32_t slots_ = 0;
  LaneDesk desk_;
  LaneWriter writer_;
  Region region_;
};

// A feed of everything in a lane.
class LaneFeed final : public Feed {
 public:
  explicit LaneFeed(TestLane& lane) : reader_(lane.read()), region_(&lane.region()) {}

  size_t next(std::span<Message> out) override {
    size_t n = 0;
    while (n < out.size() && reader_.next(out[n]) != LaneReader::Next::kEmpty)
      n++;
    return n;
  }
  bool look(uint64_t position, Message& m) override {
    return !broken_ && reader_.look(position, m);
  }
  void released(uint64_t position) override { reader_.release_to(position); }
  void* region() override { return region_; }

  LaneReader& reader() { return reader_; }
  void copy_payloads() { region_ = nullptr; }
  // From now on nothing can be read a second time.
  void break_looks(bool broken) { broken_ = broken; }

 private:
  LaneReader reader_;
  Region* region_;
  bool broken_ = false;
};

}  // namespace penstock::test
