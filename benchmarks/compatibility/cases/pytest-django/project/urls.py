from django.http import JsonResponse
from django.urls import path

from project.models import Thing


def names(request):
    return JsonResponse({"names": [thing.name for thing in Thing.objects.order_by("name")]})


urlpatterns = [path("names/", names)]
