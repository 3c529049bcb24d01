// What the contract suite needs of a fabric: two devices that reach each other, and time. Each
// fabric has a file that says how to make its rigs; the tests are the same files for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "rdma/fabric.h"

namespace penstock::test {

class FabricRig {
 public:
  FabricRig() = default;
  FabricRig(const FabricRig&) = delete;
  FabricRig& operator=(const FabricRig&) = delete;
  virtual ~FabricRig() = default;

  virtual Fabric& fabric(unsigned side) = 0;  // 0 and 1

  // Lets a little time pass. False: what is waited for should have happened long ago.
  virtual bool turn() = 0;
  // Begins to be patient anew.
  virtual void rest() = 0;

  // Zeroed memory that a side can register for its peer; the rig keeps it until it goes.
  virtual std::byte* memory(unsigned /*side*/, uint64_t bytes) {
    memory_.emplace_back(bytes);
    return memory_.back().data();
  }

  // Faults, where the rig can make them; false: it cannot.
  virtual bool set_port(unsigned /*side*/, bool /*up*/) { return false; }
  // The next request that lands of those that a side posted ends in an error; `arrives`: after its
  // bytes and its immediate did.
  virtual bool break_next(unsigned /*side*/, FabricCode /*code*/, bool /*arrives*/) {
    return false;
  }

 private:
  std::deque<std::vector<std::byte>> memory_;
};

struct FabricRigMaker {
  std::string name;
  std::string needs;  // not empty: the device is missing, and this is what it is
  uint64_t seeds;     // of random traffic
  std::unique_ptr<FabricRig> (*make)(uint64_t seed);
};

inline void PrintTo(const FabricRigMaker& m, std::ostream* out) {
  *out << m.name;
}

// Of the fabric that this program was linked for.
std::vector<FabricRigMaker> fabric_rigs();

}  // namespace penstock::test
