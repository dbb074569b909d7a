"""The papers that presets take their values from."""

__all__ = [
    "GOKMEN_2016",
    "GOKMEN_2020",
    "GOKMEN_2021",
    "GONG_2018",
    "GONG_2022",
    "KIM_2019",
    "LI_2018",
    "NANDAKUMAR_2019",
    "NANDAKUMAR_2020",
    "RASCH_2019",
    "RASCH_2023",
    "RASCH_2024",
    "TANG_2018",
]

LI_2018 = (
    "Li et al., Capacitor-based cross-point array for analog neural network with record symmetry "
    "and linearity, IEEE Symposium on VLSI Technology (2018)"
)
TANG_2018 = (
    "Tang et al., ECRAM as scalable synaptic cell for high-speed, low-power neuromorphic "
    "computing, IEDM (2018)"
)
KIM_2019 = (
    "Kim et al., Metal-oxide based, CMOS-compatible ECRAM for deep learning accelerator, "
    "IEDM (2019)"
)
GOKMEN_2016 = (
    "Gokmen and Vlasov, Acceleration of deep neural network training with resistive cross-point "
    "devices: design considerations, Frontiers in Neuroscience 10, 333 (2016)"
)
GOKMEN_2020 = (
    "Gokmen and Haensch, Algorithm for training neural networks on resistive device arrays, "
    "Frontiers in Neuroscience 14, 103 (2020)"
)
GOKMEN_2021 = (
    "Gokmen, Enabling training of neural networks on noisy hardware, Frontiers in Artificial "
    "Intelligence 4, 699148 (2021)"
)
RASCH_2019 = (
    "Rasch, Gokmen and Haensch, Training large-scale artificial neural networks on simulated "
    "resistive crossbar arrays, IEEE Design & Test (2019), arXiv 1906.02698"
)
RASCH_2023 = (
    "Rasch et al., Hardware-aware training for large-scale and diverse deep learning inference "
    "workloads using in-memory computing-based accelerators, Nature Communications (2023), "
    "arXiv 2302.08469"
)
RASCH_2024 = (
    "Rasch, Carta, Fagbohungbe and Gokmen, Fast and robust analog in-memory deep neural network "
    "training, Nature Communications 15, 7133 (2024)"
)
GONG_2018 = (
    "Gong et al., Signal and noise extraction from analog memory elements for neuromorphic "
    "computing, Nature Communications 9, 2102 (2018)"
)
GONG_2022 = (
    "Gong, Rasch et al., Deep learning acceleration in 14nm CMOS compatible ReRAM array: device, "
    "material and algorithm co-optimization, IEDM (2022)"
)
NANDAKUMAR_2019 = (
    "Nandakumar et al., Phase-change memory models for deep learning training and inference, "
    "ICECS (2019)"
)
NANDAKUMAR_2020 = (
    "Nandakumar et al., Mixed-precision deep learning based on computational memory, "
    "Frontiers in Neuroscience 14, 406 (2020)"
)
