# Sets PPX_HAVE_CUDA: whether the CUDA kernels are built. They are left out where nvcc is missing, and
# CUDA devices then run on LibTorch's own operations.

set(PPX_HAVE_CUDA OFF)
if(NOT PPX_CUDA STREQUAL OFF)
  find_program(PPX_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin /usr/local/cuda/bin)
  if(PPX_NVCC)
    set(CMAKE_CUDA_COMPILER ${PPX_NVCC})
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    if(CUDAToolkit_VERSION_MAJOR EQUAL 13)
      set(PPX_HAVE_CUDA ON)
    else()
      message(STATUS "CUDA ${CUDAToolkit_VERSION} is not the 13 that LibTorch was built with")
    endif()
  endif()
  if(NOT PPX_HAVE_CUDA AND PPX_CUDA STREQUAL ON)
    message(FATAL_ERROR "PPX_CUDA=ON, but nvcc of CUDA 13 was not found. Install the CUDA 13 toolkit "
      "and put its bin folder on PATH, or use the release preset, which leaves the kernels out.")
  endif()
endif()
message(STATUS "CUDA kernels: ${PPX_HAVE_CUDA}")
