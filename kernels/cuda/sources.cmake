# The CUDA backend's sources, for the module (CMakeLists.txt here) and for the emulated one (tests/emulation).
set(cuda_kernels embed.cu rows.cu norm_modulate.cu gated_add.cu matmul_tensor.cu matmul_f32.cu matmul_few.cu convert.cu
                 quantise.cu attention.cu attention_prepare.cu attention_tensor.cu attention_plain.cu head_scan.cu
                 head_choose.cu head_draw.cu)
set(cuda_host device.c open.c place.c segment.c table.c upload.c weight.c matmul.c)
set(cuda_library library_lt.c library_choose.c library_trial.c) # products by cuBLASLt
set(cuda_library_missing library_none.c)
list(TRANSFORM cuda_kernels PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
list(TRANSFORM cuda_host PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
list(TRANSFORM cuda_library PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
list(TRANSFORM cuda_library_missing PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
list(APPEND cuda_host ${CMAKE_CURRENT_LIST_DIR}/../failure.c ${CMAKE_CURRENT_LIST_DIR}/../weight_parts.c
     ${CMAKE_CURRENT_LIST_DIR}/../weight_layout.c)
set(cuda_exchange ${CMAKE_CURRENT_LIST_DIR}/../../worker/collective/collective_nccl.c ${CMAKE_CURRENT_LIST_DIR}/../../worker/collective/collective_agree.c
    ${CMAKE_CURRENT_LIST_DIR}/../../worker/collective/exchange_buffers.c) # where there is NCCL
