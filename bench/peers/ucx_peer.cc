// The same work over UCX: tag send and receive through a UCP worker, over shared memory and (large
// messages) the kernel's cross-memory attach. One thread a side, always progressing.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ucp/api/ucp.h>
#include <vector>

#include "bench/rig/harness.h"

namespace penstock::bench {
namespace {

constexpr ucp_tag_t kTag = 1;

void must(ucs_status_t status) {
  if (status != UCS_OK) {
    std::fprintf(stderr, "ucx: %s\n", ucs_status_string(status));
    std::_Exit(1);
  }
}

class UcxEnd {
 public:
  struct Medium {
    Medium(const Job& j, Board& b) : job(j), board(b) {}
    static bool threads(const Job&) { return false; }
    Job job;
    Board& board;
  };

  UcxEnd(Medium& m, unsigned side) : job_(m.job) {
    open_worker();
    connect(m.board, side);
    const size_t window = std::clamp<size_t>((size_t{4} << 20) / job_.size, 2, 64);
    const size_t step = (job_.size + 4095) & ~size_t{4095};
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(4096, 2 * window * step));
    if (memory == nullptr) die("aligned_alloc");
    std::memset(memory, 0, 2 * window * step);
    for (size_t i = 0; i < window; i++) {
      out_.push_back({.bytes = memory + i * step});
      in_.push_back({.bytes = memory + (window + i) * step});
    }
    for (Slot& s : in_)
      post(s);
  }

  bool send(uint64_t number) {
    Slot& s = out_[sent_ % out_.size()];
    if (!done(s)) {
      ucp_worker_progress(worker_);
      return false;
    }
    fill(s.bytes, job_.size, number);
    const ucp_request_param_t plain{};
    s.request = ucp_tag_send_nbx(endpoint_, s.bytes, job_.size, kTag, &plain);
    sent_++;
    return true;
  }

  template <class F>
  uint32_t poll(uint32_t, F&& f) {
    ucp_worker_progress(worker_);
    uint32_t n = 0;
    while (n < job_.burst) {
      Slot& s = in_[received_ % in_.size()];
      if (!done(s)) break;
      f(s.bytes, job_.size);
      post(s);
      received_++;
      n++;
    }
    return n;
  }

 private:
  struct Slot {
    std::byte* bytes;
    ucs_status_ptr_t request = nullptr;  // null: done
  };

  void open_worker() {
    if (setenv("UCX_TLS", "posix,cma,self", 0) != 0) die("setenv");
    ucp_config_t* config = nullptr;
    must(ucp_config_read(nullptr, nullptr, &config));
    ucp_params_t params{};
    params.field_mask = UCP_PARAM_FIELD_FEATURES;
    params.features = UCP_FEATURE_TAG;
    must(ucp_init(&params, config, &context_));
    ucp_config_release(config);
    ucp_worker_params_t worker{};
    worker.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
    worker.thread_mode = UCS_THREAD_MODE_SINGLE;
    must(ucp_worker_create(context_, &worker, &worker_));
  }

  void connect(Board& board, unsigned side) {
    ucp_address_t* address = nullptr;
    size_t len = 0;
    must(ucp_worker_get_address(worker_, &address, &len));
    if (len > sizeof board.mail[side]) must(UCS_ERR_BUFFER_TOO_SMALL);
    std::memcpy(board.mail[side], address, len);
    ucp_worker_release_address(worker_, address);
    board.barrier(side);
    ucp_ep_params_t peer{};
    peer.field_mask = UCP_EP_PARAM_FIELD_REMOTE_ADDRESS;
    peer.address = reinterpret_cast<const ucp_address_t*>(board.mail[1 - side]);
    must(ucp_ep_create(worker_, &peer, &endpoint_));
  }

  void post(Slot& s) {
    const ucp_request_param_t plain{};
    s.request = ucp_tag_recv_nbx(worker_, s.bytes, job_.size, kTag, ~ucp_tag_t{0}, &plain);
  }

  static bool done(Slot& s) {
    if (s.request == nullptr) return true;
    if (UCS_PTR_IS_ERR(s.request)) must(UCS_PTR_STATUS(s.request));
    const ucs_status_t status = ucp_request_check_status(s.request);
    if (status == UCS_INPROGRESS) return false;
    must(status);
    ucp_request_free(s.request);
    s.request = nullptr;
    return true;
  }

  Job job_;
  ucp_context_h context_ = nullptr;
  ucp_worker_h worker_ = nullptr;
  ucp_ep_h endpoint_ = nullptr;
  std::vector<Slot> out_;
  std::vector<Slot> in_;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
};

}  // namespace
}  // namespace penstock::bench

int main(int argc, char** argv) {
  return penstock::bench::bench_main<penstock::bench::UcxEnd>(argc, argv);
}
