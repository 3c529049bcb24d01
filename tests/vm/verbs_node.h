// One end of a connection over real verbs, for tests of the bed: a device, a reliable queue pair
// and 1 MiB of registered memory.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <infiniband/verbs.h>

namespace penstock {

// What the other end has to know; goes to another machine as it is.
struct VerbsAddress {
  ibv_gid gid;
  uint32_t queue_pair;
  uint32_t key;
  uint64_t memory;
};

// How long a sender waits for an answer before it sends again, 4.096 us * 2^timeout, and how often.
struct Patience {
  uint8_t timeout;
  uint8_t retries;
};
inline constexpr Patience kPatient{18, 7};    // a machine may stand still for a while
inline constexpr Patience kImpatient{14, 2};  // the cable is out: 0.2 s

class VerbsNode {
 public:
  static constexpr uint32_t kBytes = 1 << 20;

  explicit VerbsNode(const std::string& device);
  VerbsNode(const VerbsNode&) = delete;
  VerbsNode& operator=(const VerbsNode&) = delete;
  ~VerbsNode();

  bool open() const { return memory_region_ != nullptr && queue_pair_ != nullptr; }
  VerbsAddress address() const;
  bool connect(const VerbsAddress& peer, Patience patience = kPatient);

  std::span<uint8_t> memory() { return memory_; }

  // Each posts one signalled request from or to the start of the memory, at the other end `offset`
  // behind its start.
  bool write(const VerbsAddress& to, uint32_t bytes, uint64_t offset = 0);
  bool write_with_immediate(const VerbsAddress& to, uint32_t bytes, uint32_t immediate);
  bool read(const VerbsAddress& from, uint32_t bytes, uint64_t offset = 0);
  bool post_receive();

  // The next completion; status IBV_WC_GENERAL_ERR when none comes for a long time.
  ibv_wc completion();
  // The next event of the device, or -1.
  int event();

 private:
  bool post(ibv_wr_opcode what, const VerbsAddress& at, uint32_t bytes, uint64_t offset,
            uint32_t immediate);
  bool find_gid();

  ibv_context* context_ = nullptr;
  ibv_pd* domain_ = nullptr;
  ibv_cq* completions_ = nullptr;
  ibv_mr* memory_region_ = nullptr;
  ibv_qp* queue_pair_ = nullptr;
  std::vector<uint8_t> memory_ = std::vector<uint8_t>(kBytes);
  ibv_gid gid_{};
  uint8_t gid_index_ = 0;
};

}  // namespace penstock
