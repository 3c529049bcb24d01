// Publishes and receives a number of 64-byte messages on one lane, for lane_cost_test.py to count
// the instructions of:   lane_cost publish|both N
#include <cstdlib>
#include <memory>
#include <string_view>

#include "dataplane/lane/reader.h"
#include "dataplane/lane/writer.h"

namespace penstock {
namespace {

constexpr LaneGeometry kGeometry{.ring_log2 = 10, .arena_log2 = 18, .topics = 1};
constexpr uint64_t kBurst = 64;

struct alignas(4096) Page {
  std::byte bytes[4096];
};

int run(bool receive, uint64_t count) {
  const auto memory = std::make_unique<Page[]>(kGeometry.total_bytes() / sizeof(Page));
  const auto page = std::make_unique<NodePage>();
  const auto slot = std::make_unique<ReaderSlot>();
  std::byte* lane = memory[0].bytes;
  LaneWriter::format(lane, kGeometry, 1, 1);
  page->marks[0].state.store(pack_mark(ReaderState::kReliable, 1));
  page->generation.store(1);
  LaneWriter writer(lane, kGeometry, page.get());
  if (!writer.add_topic("a").ok()) return 1;
  LaneReader reader({.memory = lane,
                     .geometry = kGeometry,
                     .page = page.get(),
                     .generation = 1,
                     .slot = slot.get()});
  writer.attach_reader(0, 1, slot.get(), {.event_fd = 1});  // armed or not: it is looked at
  uint64_t sum = 0;
  Message m;
  for (uint64_t n = 0; n < count; n += kBurst) {
    for (uint64_t i = 0; i < kBurst; i++) {
      std::byte* to = writer.loan(64);
      if (to == nullptr) return 1;
      std::memset(to, static_cast<int>(i), 64);
      writer.commit({});
    }
    for (uint64_t i = 0; receive && i < kBurst; i++) {
      if (reader.next(m) != LaneReader::Next::kMessage) return 1;
      sum += static_cast<uint64_t>(m.data[0]) + m.len;
    }
    if (receive) {
      reader.release();
    } else {
      reader.release_to(writer.head());
    }
  }
  return sum == 1 ? 1 : 0;
}

}  // namespace
}  // namespace penstock

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return penstock::run(std::string_view(argv[1]) == "both", std::strtoull(argv[2], nullptr, 10));
}
