// Random traffic both ways over several pairs at once: puts, puts with immediate, gets, flushes, of
// any size, in bursts of any length. Each immediate comes once, with its own bytes in place.
#include <random>
#include <set>

#include "tests/rdma/fabric_pair.h"

namespace penstock::test {
namespace {

constexpr uint64_t kCell = 16384;
constexpr uint32_t kCells = 64;  // to put to, from each side
// Where things stand in a side's memory.
constexpr uint64_t kSources = 0;
constexpr uint64_t kTargets = kCells * kCell;
constexpr uint64_t kConstant = 2 * kCells * kCell;  // what the peer gets
constexpr uint64_t kGot = kConstant + kCell;        // and where it puts that
static_assert(kGot + kCells * kCell <= kSideBytes);

class Traffic {
 public:
  Traffic(uint64_t seed, std::array<std::unique_ptr<Side>, 2>& sides, std::vector<Endpoints>& pairs)
      : dice_(seed), sides_(sides), pairs_(pairs) {
    for (auto& s : sides_)
      s->fill(kConstant, kCell, 77);
  }

  // A burst from a side by a pair; cells that are not free are left alone.
  void burst(unsigned side) {
    const size_t pair = below(pairs_.size());
    std::vector<FabricRequest> requests;
    const uint64_t n = 1 + below(16);
    for (uint64_t i = 0; i < n; i++) {
      const auto cell = static_cast<uint32_t>(below(kCells));
      if (cells_[side][cell].used) continue;
      requests.push_back(make(side, cell));
      requests.back().signalled = i + 1 == n || below(4) == 0;
      cells_[side][cell].id = requests.back().id;
    }
    if (requests.empty()) return;
    requests.back().signalled = true;
    const size_t taken = pairs_[pair][side]->post(requests);
    for (size_t i = 0; i < requests.size(); i++) {
      Cell& c = cells_[side][cell_of(requests[i].id)];
      c.pair = pair;
      if (i >= taken) c = {};
    }
    if (taken != requests.size()) cut_.insert({side, pair});
  }

  // A burst that was cut may have lost its signalled end: asks for a completion behind it.
  void settle() {
    std::erase_if(cut_, [&](const auto& c) {
      FabricRequest r;
      r.signalled = true;
      r.id = next_id_++ * kCells;
      return pairs_[c.second][c.first]->post({&r, 1}) == 1;
    });
  }

  // Looks at what a side has polled.
  void look(unsigned side) {
    for (const FabricCompletion& d : sides_[side]->done) {
      EXPECT_EQ(d.code, FabricCode::kOk) << text(d.code);
      completed(side, d);
    }
    for (const FabricImmediate& l : sides_[side]->landed)
      landed(side, l);
    sides_[side]->done.clear();
    sides_[side]->landed.clear();
  }

  bool idle() const {
    for (const auto& cells : cells_)
      for (const Cell& c : cells)
        if (c.used) return false;
    return true;
  }
  uint64_t immediates() const { return immediates_; }
  uint64_t gets() const { return gets_; }

 private:
  struct Cell {
    bool used = false;
    bool local_done = false;
    bool remote_done = false;
    FabricOp op{};
    uint32_t bytes = 0;
    unsigned pattern = 0;
    size_t pair = 0;
    uint64_t id = 0;
  };

  uint64_t below(uint64_t n) { return dice_() % n; }
  static uint32_t cell_of(uint64_t id) { return static_cast<uint32_t>(id % kCells); }

  FabricRequest make(unsigned side, uint32_t cell) {
    Side& here = *sides_[side];
    const Registration& there = sides_[1 - side]->registration;
    Cell& c = cells_[side][cell];
    const auto op = static_cast<FabricOp>(below(4));
    const uint64_t at = kTargets + cell * kCell;
    c = {.used = true,
         .remote_done = op != FabricOp::kPutImmediate,
         .op = op,
         .bytes = static_cast<uint32_t>(below(2) == 0 ? below(kCell) : below(300)),
         .pattern = ++patterns_};
    FabricRequest r;
    r.op = op;
    r.id = next_id_++ * kCells + cell;
    r.local_key = here.registration.local_key;
    r.remote_key = there.remote_key;
    if (op == FabricOp::kGet) {
      r.local = here.at(kGot + cell * kCell);
      r.bytes = c.bytes;
      r.remote_address = there.remote_address + kConstant;
      std::memset(r.local, 0, kCell);
    } else if (op == FabricOp::kFlush) {
      r.remote_address = there.remote_address + kConstant;
    } else {
      here.fill(kSources + cell * kCell, c.bytes, c.pattern);
      r.local = here.at(kSources + cell * kCell);
      r.bytes = c.bytes;
      r.remote_address = there.remote_address + at;
      r.immediate = imm_of(cell, patterns_ % kImmChunks);
      r.inlined = c.bytes <= here.fabric.limits().max_inline && below(2) == 0;
      if (r.inlined) r.local_key = 0;
    }
    return r;
  }

  // It stands for all before it on its endpoint.
  void completed(unsigned side, const FabricCompletion& d) {
    size_t pair = 0;
    while (pair < pairs_.size() && pairs_[pair][side]->number() != d.endpoint)
      pair++;
    ASSERT_LT(pair, pairs_.size());
    for (uint32_t i = 0; i < kCells; i++) {
      Cell& c = cells_[side][i];
      if (!c.used || c.local_done || c.pair != pair || c.id / kCells > d.id / kCells) continue;
      c.local_done = true;
      if (c.op == FabricOp::kGet) {
        EXPECT_TRUE(sides_[side]->holds(kGot + i * kCell, c.bytes, 77));
        EXPECT_TRUE(sides_[side]->is_zero(kGot + i * kCell + c.bytes, kCell - c.bytes));
        gets_++;
      }
      free(c);
    }
  }

  void landed(unsigned side, const FabricImmediate& l) {
    const uint32_t cell = imm_slot(l.immediate);
    ASSERT_LT(cell, kCells);
    Cell& c = cells_[1 - side][cell];
    EXPECT_TRUE(c.used && !c.remote_done) << "came twice";
    EXPECT_EQ(imm_chunk(l.immediate), c.pattern % kImmChunks);
    EXPECT_EQ(l.bytes, c.bytes);
    EXPECT_EQ(l.endpoint, pairs_[c.pair][side]->number());
    EXPECT_TRUE(sides_[side]->holds(kTargets + cell * kCell, c.bytes, c.pattern));
    c.remote_done = true;
    immediates_++;
    free(c);
  }

  static void free(Cell& c) {
    if (c.local_done && c.remote_done) c = {};
  }

  std::mt19937_64 dice_;
  std::array<std::unique_ptr<Side>, 2>& sides_;
  std::vector<Endpoints>& pairs_;
  std::array<std::array<Cell, kCells>, 2> cells_{};
  unsigned patterns_ = 0;
  uint64_t next_id_ = 1;
  uint64_t immediates_ = 0;
  uint64_t gets_ = 0;
  std::set<std::pair<unsigned, size_t>> cut_;  // side, pair
};

class FabricTraffic : public FabricContract {};
INSTANTIATE_TEST_SUITE_P(Rigs, FabricTraffic, ::testing::ValuesIn(fabric_rigs()),
                         [](const auto& i) { return i.param.name; });

TEST_P(FabricTraffic, EachImmediateComesOnceWithItsBytes) {
  uint64_t immediates = 0;
  uint64_t gets = 0;
  for (uint64_t seed = 0; seed < GetParam().seeds; seed++) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    begin(seed);
    std::vector<Endpoints> pairs;
    for (int i = 0; i < 3; i++)
      pairs.push_back(join());
    Traffic traffic(seed, sides, pairs);
    std::mt19937_64 dice(seed);
    const auto step = [&](bool more) {
      for (unsigned s = 0; s < 2; s++) {
        if (more && dice() % 3 == 0) traffic.burst(s);
        if (dice() % 4 != 0) sides[s]->poll();
        traffic.look(s);
      }
      traffic.settle();
    };
    for (int i = 0; i < 400; i++) {
      step(true);
      (void)rig->turn();
    }
    rig->rest();
    while (!traffic.idle() && rig->turn())
      step(false);
    ASSERT_TRUE(traffic.idle());
    EXPECT_EQ(rig->fabric(0).stats().receiver_not_ready.read(), 0u);
    if (HasFailure()) return;
    immediates += traffic.immediates();
    gets += traffic.gets();
  }
  EXPECT_GT(immediates, GetParam().seeds * 50);
  EXPECT_GT(gets, GetParam().seeds * 50);
}

}  // namespace
}  // namespace penstock::test
