"""Texts of CUDA, cuDNN, cuBLAS, NCCL and of torch about GPUs; see `texts`."""

from __future__ import annotations

from yolo_crds.conditions import Reason
from yolo_crds.trainer import ExitCode

from .texts import Cause, Text

LABEL_HINT = (
    "an index left its bounds on the GPU, which commonly is a class index or keypoint in the labels, or a "
    "model "
    "file for other classes: check labels and names, or train an epoch with gpus: 0, where the message is "
    "exact"
)
_FABRIC_HINT = "the GPU's node is not ready: does nvidia-fabricmanager run there, in the driver's version?"

GPU_CAUSES: tuple[Cause, ...] = (
    Cause(
        Reason.CUDA_OUT_OF_MEMORY,
        ExitCode.FAILED,
        (
            Text(
                r"(?:CUDA|HIP|XPU|MPS backend) out of memory",
                "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a "
                "total capacity "
                "of 23.69 GiB of which 1.31 GiB is free.",
                "pytorch c10/cuda/CUDACachingAllocator.cpp",
            ),
            Text(
                r"CUDA error: out of memory|cuda runtime error \(2\)",
                "torch.AcceleratorError: CUDA error: out of memory",
                "pytorch c10/cuda/CUDAException.cpp",
            ),
            Text(
                r"NVML_SUCCESS == r INTERNAL ASSERT",
                "RuntimeError: NVML_SUCCESS == r INTERNAL ASSERT FAILED at "
                '"../c10/cuda/CUDACachingAllocator.cpp"'
                ":1154, please report a bug to PyTorch.",
                "pytorch/pytorch#112377, pytorch/pytorch#185240 (out of memory on a MIG slice)",
            ),
            Text(
                r"CUBLAS_STATUS_(?:ALLOC_FAILED|NOT_INITIALIZED)",
                "RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
                "karpathy/llama2.c#279, EleutherAI/lm-evaluation-harness#1689, awslabs/sockeye#897",
            ),
            Text(
                r"unable to find an engine to execute this computation",
                "RuntimeError: GET was unable to find an engine to execute this computation",
                "QwenLM/Qwen3-VL#151 (beside CUDNN_STATUS_ALLOC_FAILED)",
            ),
            Text(
                r"Unable to find a valid cuDNN algorithm",
                "RuntimeError: Unable to find a valid cuDNN algorithm to run convolution",
                "ultralytics/yolov5#11250, AlexeyAB/darknet#7660 (a smaller batch mends it)",
            ),
            Text(
                r"CUDNN_STATUS_(?:ALLOC_FAILED|NOT_INITIALIZED|INTERNAL_ERROR)",
                "RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR",
                "open-mmlab/mmsegmentation#3294, microsoft/CNTK#220, amdegroot/ssd.pytorch#33",
            ),
            Text(
                r"CUDNN_STATUS_EXECUTION_FAILED",
                "RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
                "pytorch/pytorch#17774 (256 images fail, 128 do not)",
            ),
            Text(
                r"Cuda failure[^\n]*out of memory",
                "DistBackendError: NCCL error: unhandled cuda error, ncclUnhandledCudaError: Call to CUDA "
                "function "
                "failed. Last error: Cuda failure 2 'out of memory'",
                "NVIDIA/nccl src/include/checks.h",
            ),
        ),
    ),
    Cause(
        Reason.TRAINING_FAILED,
        ExitCode.FAILED,
        (
            Text(
                r"device-side assert",
                "torch.AcceleratorError: CUDA error: device-side assert triggered",
                "ultralytics/ultralytics#4160, ultralytics/ultralytics#4728, ultralytics/ultralytics#863, "
                "milesial/Pytorch-UNet#405",
            ),
        ),
        hint=LABEL_HINT,
    ),
    Cause(
        Reason.GPU_FAULT,
        ExitCode.GPU_FAULT,
        (
            Text(
                r"Error 802|system not yet initialized",
                "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda "
                "functions before "
                "calling NumCudaDevices() that might have already set an error? Error 802: system not yet "
                "initialized",
                "pytorch/pytorch#35710, gpustack/gpustack#4154",
            ),
        ),
        hint=_FABRIC_HINT,
    ),
    Cause(
        Reason.NO_ACCELERATOR,
        ExitCode.NO_ACCELERATOR,
        (
            Text(
                r"no kernel image is available|is not compatible with the current PyTorch installation",
                "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the "
                "device",
                "pytorch/pytorch#31285, PrateekMunjal/TorchAL#4, Comfy-Org/ComfyUI#16438",
            ),
        ),
        hint="the trainer image's torch has no code for this card: choose nodes with another one by "
        "nodeSelector, "
        "or an image whose torch was built for it",
    ),
    Cause(
        Reason.NO_ACCELERATOR,
        ExitCode.NO_ACCELERATOR,
        (
            Text(
                r"NVIDIA driver on your system is too old",
                "RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please "
                "update your "
                "GPU driver",
                "pytorch torch/csrc/cuda, c10/cuda/CUDAFunctions.cpp",
            ),
            Text(
                r"CUDA driver version is insufficient",
                "RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version",
                "CUDA cudaErrorInsufficientDriver (35)",
            ),
            Text(
                r"unsupported display driver / cuda driver combination|Error 803",
                "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 803: system has "
                "unsupported display "
                "driver / cuda driver combination",
                "vllm-project/vllm#15335",
            ),
            Text(
                r"forward compatibility was attempted|Error 804",
                "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 804: forward "
                "compatibility was "
                "attempted on non supported HW",
                "gpustack/gpustack#1254",
            ),
        ),
        hint="the node's NVIDIA driver does not fit the CUDA version of the trainer image: update it, or "
        "choose "
        "other nodes by nodeSelector",
    ),
    Cause(
        Reason.NO_ACCELERATOR,
        ExitCode.NO_ACCELERATOR,
        (
            Text(
                r"no NVIDIA driver on your system",
                "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an "
                "NVIDIA GPU and "
                "installed a driver from http://www.nvidia.com/Download/index.aspx",
                "pytorch c10/cuda/CUDAFunctions.cpp",
            ),
            Text(
                r"No CUDA GPUs are available|no CUDA-capable device is detected",
                "RuntimeError: No CUDA GPUs are available",
                "pytorch torch/csrc/cuda/Module.cpp, CUDA cudaErrorNoDevice (100)",
            ),
            Text(
                r"Torch not compiled with CUDA enabled",
                "AssertionError: Torch not compiled with CUDA enabled",
                "pytorch torch/cuda/__init__.py",
            ),
            Text(
                r"Invalid CUDA 'device=",
                "ValueError: Invalid CUDA 'device=0' requested. Use 'device=cpu' or pass valid CUDA "
                "device(s)",
                "ultralytics/utils/torch_utils.py",
            ),
        ),
    ),
    Cause(
        Reason.GPU_FAULT,
        ExitCode.GPU_FAULT,
        (
            # The container lost its devices (a reload of systemd on the node); a new pod has them again.
            Text(
                r"CUDA unknown error|CUDA error: unknown error|cuda runtime error \((?:30|999)\)",
                "RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment, "
                "e.g. "
                "changing env variable CUDA_VISIBLE_DEVICES after program start. Setting the available "
                "devices to "
                "be zero.",
                "NVIDIA/nvidia-container-toolkit#48, NVIDIA/nvidia-docker#1730, pytorch/pytorch#49081",
            ),
            Text(
                r"Failed to initialize NVML|GPU is lost",
                "RuntimeError: Failed to initialize NVML: Unknown Error",
                "NVIDIA/nvidia-docker#1671, NVIDIA/nvidia-container-toolkit#1227",
            ),
            Text(
                r"uncorrectable (?:ECC|NVLink)|ECC error",
                "torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered",
                "ostris/ai-toolkit#470, NVIDIA/semantic-segmentation#33",
            ),
            Text(
                r"fallen off the bus",
                "NVRM: Xid (PCI:0000:03:00): 79, GPU has fallen off the bus.",
                "NVIDIA Xid catalogue",
            ),
            Text(
                r"unspecified launch failure",
                "RuntimeError: CUDA error: unspecified launch failure",
                "pytorch/pytorch#74235 (Xid 109)",
            ),
            Text(
                r"CUBLAS_STATUS_EXECUTION_FAILED",
                "RuntimeError: CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx`",
                "pytorch/pytorch#74235 (by turns with unspecified launch failure)",
            ),
            Text(
                r"launch timed out",
                "RuntimeError: CUDA error: the launch timed out and was terminated",
                "pytorch/pytorch#10853",
            ),
            Text(
                r"illegal memory access|illegal instruction|misaligned address|hardware stack error",
                "torch.AcceleratorError: CUDA error: an illegal memory access was encountered",
                "CUDA cudaErrorIllegalAddress (700), Xid 13 and 31: start the program again",
            ),
            Text(
                r"devices? (?:\(s\) )?(?:is/)?are busy or unavailable|device\(s\) is/are busy",
                "RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable",
                "pytorch/pytorch#100691, pytorch/pytorch#2704",
            ),
            Text(
                r"NCCL.*(?:unhandled cuda error|Xid)",
                "RuntimeError: NCCL error in: ProcessGroupNCCL.cpp:784, unhandled cuda error, NCCL "
                "version 2.7.8",
                "NVIDIA/nccl#425",
            ),
        ),
    ),
)
